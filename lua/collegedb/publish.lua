--- A directory whose entries are also written to Workers KV, for Workers with the TypeScript library, and which asks
-- there for keys that it does not know. It has the interface of lua/collegedb/directory.lua, and `ask` besides.
--
-- The directory decides, and is written first. What can not be published then is no failure of the call: it is kept in
-- memory, and sent again with what comes later; after a crash db:publish, or verify with repair, finds it
-- (lua/collegedb/published_keys.lua). Whatever gives a key a place is to be found here; nothing is published inside a
-- change of the directory, but behind it.

local core = require "collegedb.core"
local entries = require "collegedb.published_entries"
local errors = require "collegedb.errors"

local publish = {}

local SECONDS <const> = 5      -- in which a call publishes what it has decided
local ASK_SECONDS <const> = 10 -- in which KV says where a key is
local REMEMBERED <const> = 1000 -- ms for which what KV said of the last key is taken again
local FIRST_PAUSE <const>, LONGEST_PAUSE <const> = 1000, 60000 -- ms after a failure
local WAITING <const> = 100000 -- keys kept in memory at most

---@class collegedb.Published
local Published = { entries = false, foreground = "keys that are taken over are published to Workers KV" }

-- Everything else is the directory's own.
function Published.__index(self, name)
  local own = Published[name]
  if own ~= nil then return own end
  local inner = rawget(self, "inner")
  local value = inner[name]
  if type(value) ~= "function" then return value end
  local function call(first, ...)
    if first == self then return value(inner, ...) end
    return value(first, ...)
  end
  rawset(self, name, call)
  return call
end

-- --- what waits to be published -------------------------------------------------------------

-- After so many it is better to look at all keys.
local function forgo(self)
  self.count = self.count - 1
  if not self.overflow then
    self.emit("unpublished", ("more than %d keys wait to be written to %s: further ones are not kept, db:publish finds "
      .. "them"):format(WAITING, tostring(self.kv)))
  end
  self.overflow = true
end

-- Notes a key whose place may have changed. `at`: the shard's id, if it is known for sure; `otherwise`: where it is
-- if it has no entry; `fresh`: KV has nothing of it; `new`: it has just got its first place, so that a mapping which
-- came to KV meanwhile is another program's, and stays.
local function note(self, keyspace, text, fields)
  local name, multikey = entries.names(self.naming, keyspace, text)
  if not name then
    if not self.told_unfit then self.emit("unpublished", entries.UNFIT) end
    self.told_unfit = true
    return
  end
  if not self.waiting[name] then self.count = self.count + 1 end
  if self.count > WAITING and not self.waiting[name] then return forgo(self) end
  fields.keyspace, fields.text, fields.name, fields.multikey = keyspace, text, name, multikey
  self.waiting[name] = fields
end

-- What is known by name of the shards; one that is not there any more is not published.
local function decide(self, items)
  local unsure = {}
  for _, item in pairs(items) do
    if not item.at then unsure[#unsure + 1] = item end
  end
  if #unsure == 0 then return end
  self.inner:foreseeing(unsure, function()
    for _, item in ipairs(unsure) do
      item.decided = select(2, self.inner:lookup(item.keyspace, item.text)) or item.otherwise
    end
  end)
end

local function place_all(self, items)
  decide(self, items)
  for _, item in pairs(items) do
    local id = item.at or item.decided
    item.shard = id and self.inner:name_of(id) or nil
  end
end

-- Deletions come last, and those that were not come to at all can not be told from others.
local function put_back(self, items, failed)
  for name, item in pairs(items) do
    local again = item.gone or not (failed and item.written)
    for _, written in ipairs(item.written or {}) do again = again or failed[written] end
    -- By then it may be elsewhere.
    if again and not self.waiting[name] then
      note(self, item.keyspace, item.text, { otherwise = item.otherwise or item.at, gone = item.gone, new = item.new })
    end
  end
end

local function failed_names(err)
  if not (errors.is_error(err) and err.unsuccessful) then return nil end
  local set = {}
  for _, name in ipairs(err.unsuccessful) do set[name] = true end
  return set
end

-- No request is made for a while, longer each time.
local function defer(self, err)
  self.pause = math.min(math.max(self.pause * 2, FIRST_PAUSE), LONGEST_PAUSE)
  self.retry_at = core.now() + self.pause
  self.failed = true
  self.emit("unpublished", ("%d keys wait to be written to %s: %s"):format(self.count, tostring(self.kv),
    errors.is_error(err) and err.message or tostring(err)))
end

local function recovered(self)
  self.pause, self.retry_at = 0, 0
  if self.failed then self.emit("published", ("what waited is written to %s"):format(tostring(self.kv))) end
  self.failed = false
end

-- Removes all that stands in KV of keys.
local function clear(self, seconds)
  for _, prefix in ipairs(entries.prefixes(self.naming)) do
    local cursor
    repeat
      local names
      names, cursor = self.kv:list(prefix, cursor)
      self.kv:delete_many(names, seconds)
    until not cursor
  end
  self.clear_due = false
end

local function shard_names(self)
  local names = {}
  for row in self.inner.shard:each "SELECT name FROM _collegedb_shards ORDER BY id" do names[#names + 1] = row.name end
  local more = self.inner:names()
  return table.move(more, 1, #more, #names + 1, names)
end

local function publish_names(self, seconds)
  entries.publish_known(self.kv, shard_names(self), self.names_due == "all", seconds)
  self.names_due = false
end

local function write(self, items, seconds)
  if self.clear_due then clear(self, seconds) end
  if self.names_due then publish_names(self, seconds) end
  place_all(self, items)
  for _, item in ipairs(entries.write(self.kv, self.naming, items, seconds)) do
    self.emit("disagreement", ("the key %s is on %s, and another program has it on %s in %s: verify lists such keys")
      :format(item.text, item.shard, item.theirs, tostring(self.kv)))
  end
end

local function is_idle(self) return self.count == 0 and not (self.clear_due or self.names_due) end

--- Publishes what waits.
---@param seconds number? at most so long for each request
---@return boolean done, any? err
function Published:flush(seconds)
  if is_idle(self) then return true end
  local items = self.waiting
  self.waiting, self.count = {}, 0
  local done, err = pcall(write, self, items, seconds)
  if done then
    recovered(self)
    return true
  end
  put_back(self, items, failed_names(err))
  if errors.is_interrupt(err) then error(err, 0) end
  defer(self, err)
  return false, err
end

-- What a call has decided is published before it returns, if KV can be reached.
local function settle(self)
  if self.depth == 0 and core.now() >= self.retry_at then self:flush(SECONDS) end
end
Published.settle = settle

-- --- what decides ----------------------------------------------------------------------------

-- What KV has said counts only if it is written at once.
local function note_new(self, keyspace, text, id)
  local at_once = core.now() >= self.retry_at
  note(self, keyspace, text, { at = at_once and id or nil, otherwise = id, new = true,
    fresh = at_once and self:is_absent(keyspace, text) })
end

function Published:claim(keyspace, text, id, epoch)
  local winner, more = self.inner:claim(keyspace, text, id, epoch)
  if winner == id then note_new(self, keyspace, text, id) end
  settle(self)
  return winner, more
end

--- A claim of what stands in KV already.
function Published:adopt(keyspace, text, id, epoch) return self.inner:claim(keyspace, text, id, epoch) end

local Turns = {}
Turns.__index = Turns

function Turns:take(name) return self.inner:take(name) end

function Turns:claim(keyspace, text, id, epoch)
  local winner = self.inner:claim(keyspace, text, id, epoch)
  local directory = self.directory
  if winner == id then
    note_new(directory, keyspace, text, id)
    self.claimed = true
  end
  return winner
end

function Turns:__close(err)
  getmetatable(self.inner).__close(self.inner, err)
  if self.claimed then settle(self.directory) end
end

function Published:turns() return setmetatable({ inner = self.inner:turns(), directory = self }, Turns) end

-- The claim and the choice at once, where the directory can do that.
local function rotate(self, turn, keyspace, text, ids, epoch)
  local winner = self.inner:rotate(turn, keyspace, text, ids, epoch)
  if winner then note_new(self, keyspace, text, winner) end
  settle(self)
  return winner
end

function Published:replace(keyspace, text, version, id)
  local replaced = self.inner:replace(keyspace, text, version, id)
  if replaced then note(self, keyspace, text, {}) end
  settle(self)
  return replaced
end

function Published:correct(keyspace, text, version, id)
  local corrected = self.inner:correct(keyspace, text, version, id)
  if corrected then note(self, keyspace, text, {}) end
  settle(self)
  return corrected
end

function Published:assign(list, only_new, tx)
  local count = self.inner:assign(list, only_new, tx)
  for _, each in ipairs(list) do note(self, each.keyspace, each.text, {}) end
  settle(self)
  return count
end

--- Of keys that were moved. Where they came home, and have no entry, what KV has of them is set right all the same.
function Published:publish(keyspace, texts, id, number, digests, home)
  self.inner:publish(keyspace, texts, id, number, digests, home)
  for _, text in ipairs(texts) do note(self, keyspace, text, { otherwise = id }) end
  settle(self)
end

function Published:publish_all(list)
  self.inner:publish_all(list)
  for _, each in ipairs(list) do note(self, each.keyspace, each.text, { otherwise = each.id }) end
  settle(self)
end

function Published:forget(keyspace, text)
  local removed = self.inner:forget(keyspace, text)
  note(self, keyspace, text, { gone = true })
  self.last = nil
  settle(self)
  return removed
end

--- Without a shard all mappings end, those in KV too. What was found in one shard's data is still there when its
-- integration is taken back: what KV says of it stays true, and stays.
function Published:discard(id)
  local count = self.inner:discard(id)
  if not id then
    self.waiting, self.count, self.clear_due, self.last = {}, 0, true, nil
    settle(self)
  end
  return count
end

-- Behind a change, not inside it; and nothing of one that was not made.
function Published:change(f, after)
  local waiting, count = {}, self.count
  for name, item in pairs(self.depth == 0 and self.waiting or {}) do waiting[name] = item end
  self.depth = self.depth + 1
  local done, changed, more = pcall(self.inner.change, self.inner, f, after)
  self.depth = self.depth - 1
  if not done then
    if self.depth == 0 then self.waiting, self.count = waiting, count end
    error(changed, 0)
  end
  self.names_due = self.names_due or (changed and self:has_new_names() and "more")
  settle(self)
  return changed, more
end

function Published:add_names(names, tx)
  self.inner:add_names(names, tx)
  self.names_due = self.names_due or "more"
  settle(self)
end

--- These are all: others go from KV as well.
function Published:set_names(names, tx)
  self.inner:set_names(names, tx)
  self.names_due = "all"
  settle(self)
end

--- Are there shards that were not published yet?
function Published:has_new_names()
  local names = table.concat(shard_names(self), "\n")
  local new = names ~= self.published_names
  self.published_names = names
  return new
end

-- --- what KV knows ---------------------------------------------------------------------------

local function is_last(self, name)
  local last = self.last
  return last and last.name == name and core.now() - last.at < REMEMBERED
end

--- Did KV say just now that it has nothing of the key?
function Published:is_absent(keyspace, text)
  local name = entries.names(self.naming, keyspace, text)
  return is_last(self, name) and not self.last.shard or false
end

--- The shard that KV has for a key, by name, or nil; UNAVAILABLE when it can not say.
---@return string?
function Published:ask(keyspace, text)
  local name, multikey = entries.names(self.naming, keyspace, text)
  if not name then return nil end
  local found = self.foretold and self.foretold[name]
  if found ~= nil then return found or nil end
  if is_last(self, name) then return self.last.shard end
  local values = self.kv:get_many({ name, multikey }, ASK_SECONDS)
  self.last = { name = name, at = core.now(), shard = entries.shard_of(name, multikey, values) }
  return self.last.shard
end

--- Runs `f`, which will ask for these keys; nothing is asked one by one then, and nothing adopted.
---@param keys { keyspace: string, text: string }[]
---@param f fun(foretold: table<string, string|false>): any by name of the entry: the shard, or false
function Published:foretelling(keys, f)
  self.foretold = entries.read(self.kv, self.naming, keys)
  local done, answer = pcall(f, self.foretold)
  self.foretold = nil
  if not done then error(answer, 0) end
  return answer
end

--- A new key gets its place, and KV has it on a shard that takes no keys any more.
---@param home integer? the id of its home, where it needs no entry
function Published:disregard(keyspace, text, home)
  self.last = { name = entries.names(self.naming, keyspace, text), at = core.now() }
  if not home then return end
  note(self, keyspace, text, { otherwise = home })
  settle(self)
end

--- Notes that KV has something else of a key than it should.
---@param there string|false what it has
function Published:note_difference(keyspace, text, id, there)
  note(self, keyspace, text, { otherwise = id, fresh = there == false })
end

--- Publishes all that waits, also what waits for longer. Raises what is in the way.
function Published:flush_all()
  local done, err = self:flush()
  if not done then error(err, 0) end
end

function Published:close()
  if not is_idle(self) then self:flush(SECONDS) end
  self.inner:close()
end

--- A directory that is published.
---@param inner table a directory of lua/collegedb/directory.lua
---@param kv collegedb.CloudflareKV
---@param settings { mapping_secret: string?, hash_shard_mappings: boolean?, keyspaces: boolean? }
---@param emit fun(event: string, message: string)
function publish.over(inner, kv, settings, emit)
  local naming = { secret = settings.mapping_secret, hashed = settings.hash_shard_mappings ~= false,
    bare = settings.keyspaces == false }
  return setmetatable({ inner = inner, rotate = inner.rotate and rotate, kv = kv, naming = naming, emit = emit,
    waiting = {}, count = 0, depth = 0, pause = 0, retry_at = 0, names_due = false, clear_due = false,
    overflow = false, failed = false,
  }, Published)
end

return publish
