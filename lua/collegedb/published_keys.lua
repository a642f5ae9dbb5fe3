--- The published copy against the directory, for all keys that have rows: the directory has digests, and KV's names can
-- not be made of those, so keys are read from the shards.

local catalog = require "collegedb.catalog"
local entries = require "collegedb.published_entries"
local errors = require "collegedb.errors"
local existing_keys = require "collegedb.existing_keys"
local key_pages = require "collegedb.key_pages"
local router = require "collegedb.router"

local published_keys = {}

-- --- what should be there -------------------------------------------------------------------

-- The id of the shard that KV should have for a key, or nil when it need not have one; `there` is what it has. A key
-- at home has no entry, and needs none there, unless KV has it elsewhere.
local function wanted(state, index, key, there)
  local _, id = state.directory.inner:lookup(key.keyspace, key.text)
  if id then return id end
  local tag, keyspace = catalog.untag(key.keyspace)
  if there and router.home(state, tag, keyspace, key.text) == index then return state.shards[index].id end
end

--- Compares keys with rows on a shard with what KV has. Only inside directory:foretelling.
---@param keys { keyspace: string, text: string }[]
---@param foretold table<string, string|false>
---@param f fun(key: table, id: integer, there: string|false) for each that differs
function published_keys.compare(state, index, keys, foretold, f)
  local directory = state.directory
  directory.inner:foreseeing(keys, function()
    for _, key in ipairs(keys) do
      local name = entries.names(directory.naming, key.keyspace, key.text)
      local there = name and foretold[name]
      local id = name and wanted(state, index, key, there)
      if id and directory:name_of(id) ~= there then f(key, id, there) end
    end
  end)
end

-- --- all keys -------------------------------------------------------------------------------

-- Calls f(keys) for every page of a column's keys.
local function each_page(state, index, found, f)
  local shard = state.shards[index]
  local full = catalog.tag(found.keyspace ~= "" and shard.keyspace or nil, found.keyspace)
  for page in key_pages.each(shard.inner, found) do
    local keys = {}
    for _, row in ipairs(page) do
      local text = existing_keys.text_of(found, row.value)
      if text then keys[#keys + 1] = { keyspace = full, text = text } end
    end
    f(keys)
  end
end

-- Notes what differs on a page; where KV has another shard only with `over`.
local function note_page(state, index, keys, over, report)
  state.directory:foretelling(keys, function(foretold)
    report.keys = report.keys + #keys
    published_keys.compare(state, index, keys, foretold, function(key, id, there)
      if there and not over then
        report.different = report.different + 1
      else
        report.written = report.written + 1
        state.directory:note_difference(key.keyspace, key.text, id, there)
      end
    end)
  end)
  state.directory:flush_all()
end

local function run(state, first, last, over)
  local report = { keys = 0, written = 0, different = 0 }
  for index = first, last do
    for _, found in ipairs(catalog.key_columns(state.catalog, index)) do
      each_page(state, index, found, function(keys) note_page(state, index, keys, over, report) end)
    end
  end
  return report
end

--- Brings Workers KV up to date: known_shards, what waits, and every key with rows. Raises what is in the way.
---@param state table of lua/collegedb/state.lua
---@return { keys: integer, written: integer } report keys looked at, and those that KV did not have as they are
function published_keys.publish(state)
  if not state.directory.ask then
    errors.raise("CONFIG", { field = "publish" }, "there is nowhere to publish to: name it in the config, publish = "
      .. "collegedb.cloudflare_kv{…}")
  end
  state:read_epoch()
  state:refresh_catalog()
  state.directory.names_due = state.directory.names_due or "more"
  state.directory:flush_all()
  state.directory.overflow = false
  local report = run(state, 1, #state.shards, true)
  return { keys = report.keys, written = report.written }
end

--- What was taken over of a shard. What another program says otherwise stays as it is, and is told of.
function published_keys.taken_over(state, index)
  local done, report = pcall(run, state, index, index, false)
  local name = state.shards[index].name
  if not done then
    if errors.is_interrupt(report) then error(report, 0) end
    state:emit("unpublished", ("the keys of %s are not all in %s; db:publish brings them there: %s"):format(name,
      tostring(state.directory.kv), errors.is_error(report) and report.message or tostring(report)))
  elseif report.different > 0 then
    state:emit("disagreement", ("%d keys that were found on %s are on other shards in %s: verify lists them"):format(
      report.different, name, tostring(state.directory.kv)))
  end
end

--- At open: what the shards are called.
function published_keys.begin(state)
  local directory = state.directory
  entries.check_shards(state.shards)
  directory.names_due = directory.names_due or (directory:has_new_names() and "more")
  directory:settle()
end

return published_keys
