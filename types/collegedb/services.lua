---@meta _

-- Databases and services on the net.

---@class collegedb.D1Options
---@field account? string the account's id; needed without `endpoint`
---@field database string the database's id
---@field token? string default the environment's `CLOUDFLARE_API_TOKEN`
---@field endpoint? string a URL instead of Cloudflare's
---@field deadline? number seconds for one statement, with what is sent again; default 40
---@field ca_file? string certificates to trust instead of the system's
---@field [string] collegedb.NoSuchField

---A D1 database as a shard value: what `collegedb.d1` and `gateway:shard` return. It has the methods of a shard
---handle, and `tostring` of it never shows the token.
---@class collegedb.D1
---@field private opaque true
local D1 = {}

---As `shard:run`.
---
---Raises what `shard:run` raises.
---@param sql string
---@param params? collegedb.Params
---@return collegedb.Result
function D1:run(sql, params) end

---As `shard:first`.
---
---Raises what `shard:run` raises.
---@param sql string
---@param params? collegedb.Params
---@return collegedb.Row?
function D1:first(sql, params) end

---As `shard:all`.
---
---Raises what `shard:run` raises.
---@param sql string
---@param params? collegedb.Params
---@return collegedb.Row[]
function D1:all(sql, params) end

---As `shard:each`; the rows come in pages.
---
---Raises what `shard:run` raises.
---@param sql string
---@param params? collegedb.Params
---@return fun(): collegedb.Row? next
---@return nil
---@return nil
---@return collegedb.Closable closing ends it with the loop
function D1:each(sql, params) end

---As `shard:exec`, but one statement after the other.
---
---Raises what `shard:run` raises.
---@param script string
function D1:exec(script) end

---As `shard:batch`; through a gateway only.
---
---Raises what `shard:run` raises; `UNSUPPORTED` over REST.
---@param statements collegedb.Statement[]
---@return collegedb.Result[] results
function D1:batch(statements) end

---A D1 database has no transactions over several statements.
---
---Raises `UNSUPPORTED`, naming `batch` where there is one.
---@param f fun(tx: collegedb.Transaction): any
function D1:transaction(f) end

---The size of the database in bytes.
---
---Raises what `shard:run` raises.
---@return integer bytes
function D1:size() end

---@class collegedb.GatewayOptions
---@field url string of the Worker; https, or http to this machine
---@field token? string default the environment's `COLLEGEDB_GATEWAY_TOKEN`
---@field deadline? number seconds for one statement, with what is sent again; default 40
---@field ca_file? string certificates to trust instead of the system's
---@field [string] collegedb.NoSuchField

---A gateway Worker: what `collegedb.gateway` returns.
---@class collegedb.Gateway
local Gateway = {}

---A D1 database that the Worker has under this binding, as a shard value.
---
---Raises `CONFIG`.
---@param binding string
---@param options? collegedb.GatewayShardOptions `replicas = false`: reads never go to copies of the database
---@return collegedb.D1
function Gateway:shard(binding, options) end

---The Worker's coordinator as the directory, which many machines and Workers share.
---@return collegedb.Coordinator
function Gateway:coordinator() end

---A namespace of Workers KV that the Worker has under this binding.
---
---Raises `CONFIG`.
---@param binding string
---@return collegedb.CloudflareKV
function Gateway:kv(binding) end

---The coordinator of a gateway, as `kv` or `coordinator` in the config.
---@class collegedb.Coordinator
---@field private opaque true

---@class collegedb.CloudflareKVOptions
---@field account? string the account's id; needed without `endpoint`
---@field namespace string the namespace's id
---@field token? string default the environment's `CLOUDFLARE_API_TOKEN`
---@field endpoint? string a URL instead of Cloudflare's
---@field deadline? number seconds for one call, with what is sent again; default 30
---@field ca_file? string certificates to trust instead of the system's
---@field [string] collegedb.NoSuchField

---A namespace of Workers KV: what `collegedb.cloudflare_kv` and `gateway:kv` return. A key is text of 1 to 512 bytes;
---what is read may be a minute old.
---@class collegedb.CloudflareKV
---@field private opaque true
local CloudflareKV = {}

---The value of a key, or nil.
---
---Raises `USAGE` (the key), `UNAVAILABLE`, `TIMEOUT`, `RATE_LIMITED`, `AUTH`.
---@param key string
---@param seconds? number at most so long
---@return string?
function CloudflareKV:get(key, seconds) end

---The values of those keys that have one.
---
---Raises what `kv:get` raises.
---@param keys string[]
---@param seconds? number at most so long
---@return table<string, string> values by key
function CloudflareKV:get_many(keys, seconds) end

---Sets the value of a key.
---
---Raises what `kv:get` raises; what could not be written is tried again first.
---@param key string
---@param value string UTF-8
---@param seconds? number at most so long
function CloudflareKV:put(key, value, seconds) end

---Sets the values of many keys. The error's `unsuccessful` names those that could not be set.
---
---Raises what `kv:get` raises.
---@param entries { key: string, value: string }[] each key once
---@param seconds? number at most so long
function CloudflareKV:put_many(entries, seconds) end

---Deletes a key, whether it is there or not.
---
---Raises what `kv:get` raises.
---@param key string
---@param seconds? number at most so long
function CloudflareKV:delete(key, seconds) end

---Deletes keys, whether they are there or not.
---
---Raises what `kv:get` raises.
---@param keys string[]
---@param seconds? number at most so long
function CloudflareKV:delete_many(keys, seconds) end

---Names that begin with a prefix, and where to go on.
---
---Raises what `kv:get` raises.
---@param prefix? string
---@param cursor? string as of the call before
---@param limit? integer at most so many; default 1,000
---@return string[] names
---@return string? cursor nil behind the last
function CloudflareKV:list(prefix, cursor, limit) end

---@class collegedb.GatewayShardOptions
---@field replicas? boolean `false`: reads never go to copies of the database
---@field [string] collegedb.NoSuchField
