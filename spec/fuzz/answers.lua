-- What comes over the network and is read in Lua: JSON (lua/collegedb/json_reader.lua), the answers of Workers KV
-- (lua/collegedb/cloudflare_kv.lua) and of the coordinator (lua/collegedb/coordinator_entries.lua). Whatever it is,
-- it is taken or refused by an error with a code; what cjson reads is read as cjson does, and what is written reads
-- back.

local cjson = require "cjson"
local collegedb = require "collegedb"
local core = require "collegedb.core"
local errors = require "collegedb.errors"
local json = require "collegedb.json"
local net = require "collegedb.net"
local published = require "collegedb.published_entries"
local reader = require "collegedb.json_reader"

local strict = cjson.new()
strict.decode_invalid_numbers(false)

core.pause = function() end

-- The answer to all requests.
local answer

function net.perform(requests)
  local list = {}
  for i in ipairs(requests) do
    list[i] = { status = answer.status, body = answer.body, attempts = 1, sent = true, cause = "OK" }
    if answer.status ~= 200 then
      list[i].error = errors.new("UNAVAILABLE", "it answered with the status " .. answer.status)
    end
  end
  return list
end

local gateway = collegedb.gateway { url = "https://gateway.example", token = "t" }
local stores = { gateway:kv "KV", collegedb.cloudflare_kv { account = "a", namespace = "b", token = "t" } }
local coordinator = gateway:coordinator()
local entries = coordinator:entries()
local DIGEST <const> = ("\x0f"):rep(16)

local function call(f, ...)
  local done, err = pcall(f, ...)
  if done or errors.is_error(err) then return done, err end
  error(type(err) == "string" and err or "an error that is no error of CollegeDB: " .. tostring(err), 0)
end

-- --- JSON -----------------------------------------------------------------------------------

-- Are they the same, where cjson has made floats of integers, and of null a value of its own?
local function equal(ours, theirs)
  if theirs == cjson.null then return ours == nil end
  if type(ours) ~= "table" or type(theirs) ~= "table" then
    return ours == theirs or (math.type(ours) == "integer" and ours + 0.0 == theirs)
  end
  for key, value in pairs(theirs) do
    if not equal(ours[key], value) then return false end
  end
  for key in pairs(ours) do
    if theirs[key] == nil then return false end
  end
  return true
end

local function has_null_in_array(value)
  if type(value) ~= "table" then return false end
  for key, each in pairs(value) do
    if (math.type(key) and each == cjson.null) or has_null_in_array(each) then return true end
  end
  return false
end

local function check_json(text)
  local done, value = pcall(reader.decode, text)
  if not done and not (type(value) == "string" and value:find "^JSON at byte %d+: ") then
    error("it says of what is no JSON: " .. tostring(value), 0)
  end
  local accepted, theirs = pcall(strict.decode, text)
  if text:find "\0" then accepted = false end -- cjson looks no further
  if accepted and not done then error("what cjson reads is refused: " .. value, 0) end
  if text:find("$blob", 1, true) then return end
  if accepted and not has_null_in_array(theirs) and not equal(value, theirs) then error "cjson reads something else" end
  local written, first = pcall(json.encode, value)
  if not (done and written) then return end
  local again = json.encode(reader.decode(first)) -- names that are no UTF-8 have another form, and place, from now on
  if again ~= json.encode(reader.decode(again)) then error "what is written reads back otherwise" end
  local exact = utf8.len(text) and not text:find("\\u", 1, true) and not text:find "[%d.][eE]" -- 1e999 becomes null
  if exact and first ~= again then error "what is written reads back otherwise" end
end

-- --- services ---------------------------------------------------------------------------------

local function check_store(store)
  local done, values = call(store.get_many, store, { "a", "b", "shard:x" })
  if done then
    for key, value in pairs(values) do assert(type(key) == "string" and type(value) == "string") end
  end
  local listed, names, cursor = pcall(store.list, store, "")
  if listed then
    for _, name in ipairs(names) do assert(type(name) == "string") end
    assert(cursor == nil or type(cursor) == "string")
  elseif not errors.is_error(names) then
    error(names, 0)
  end
  call(store.put_many, store, { { key = "a", value = "b" } })
  call(store.delete_many, store, { "a" })
  call(store.may_write, store, 1)
end

local function check_published(text)
  local kv = { get_many = function(_, names)
    local values = {}
    for i, name in ipairs(names) do values[name] = i % 2 == 1 and text or nil end
    return values
  end, put_many = function() end, delete_many = function() end, get = function() return text end, put = function() end }
  local naming = { hashed = #text % 2 == 0 }
  call(published.read, kv, naming, { { keyspace = "", text = "ada" }, { keyspace = "users", text = "17" } })
  local name, multikey = published.names(naming, "", "ada")
  for _, item in ipairs { { shard = "a" }, { shard = "a", new = true }, { gone = true } } do
    item.name, item.multikey, item.text = name, multikey, "ada"
    call(published.write, kv, naming, { [name] = item })
  end
  call(published.publish_known, kv, { "a", "b" }, #text % 3 == 0)
end

local function check_coordinator()
  call(entries.lookup, entries, DIGEST)
  call(entries.claim, entries, DIGEST, 1, 1)
  call(entries.claim_with, entries, { t = { 0, 1 } }, DIGEST, 1, 1)
  call(entries.rotate, entries, "t", DIGEST, { 1, 2 }, 1)
  call(entries.replace, entries, DIGEST, 1, 2)
  call(entries.correct, entries, DIGEST, nil, 2)
  call(entries.publish, entries, DIGEST, { { 1, 1 } }, true)
  call(entries.known, entries, DIGEST)
  call(entries.newest, entries, DIGEST)
  call(entries.counts, entries)
  call(entries.count_found, entries, 1)
  call(entries.page, entries, DIGEST)
  local turns = coordinator:turns()
  call(turns.turn, "t")
  call(turns.peek, "t")
end

local kinds = { ["4"] = check_json, ["7"] = check_published,
  ["5"] = function() check_store(stores[1]) end, ["6"] = function() check_store(stores[2]) end,
  ["8"] = check_coordinator }

return function(text)
  local kind, body = kinds[text:sub(1, 1)], text:sub(2)
  if not kind then return end
  answer = { status = body:sub(1, 1) == "!" and 500 or 200, body = body:gsub("^!", "") }
  kind(body)
end
