--- What a rebalance is to move: every group of every shard is shown to a policy, and those that it sends elsewhere are
-- noted in a file of SQLite's own that goes with the plan, so that memory stays small.

local allocate = require "collegedb.allocate"
local catalog = require "collegedb.catalog"
local core = require "collegedb.core"
local errors = require "collegedb.errors"
local existing_keys = require "collegedb.existing_keys"
local fence = require "collegedb.fence"
local json = require "collegedb.json"
local loader = require "collegedb.loader"
local members = require "collegedb.members"
local probe = require "collegedb.probe"
local router = require "collegedb.router"
local stats = require "collegedb.stats"

local move_plan = {}

---@class collegedb.MovePlan
---@field total integer groups to be moved
---@field moves { from: string, to: string, keys: integer, bytes: integer }[] bytes by the mean of the source's keys
---@field hidden { count: integer, [integer]: table } keys that keep a drained shard from being empty, as the report of
--- a rebalance lists failures: other rows of theirs stand
local Plan = {}
Plan.__index = Plan

function Plan:close() core.close(self.scratch) end

Plan.__close = Plan.close

local TABLES <const> = [[CREATE TABLE moves (source INTEGER, target INTEGER, keyspace TEXT, key TEXT, home INTEGER,
  PRIMARY KEY (source, target, keyspace, key)) WITHOUT ROWID;
  CREATE TABLE asked (keyspace TEXT, key TEXT, PRIMARY KEY (keyspace, key)) WITHOUT ROWID]]

-- --- what a policy is asked ----------------------------------------------------------------

local function describe_shards(state)
  local list = {}
  for index, shard in ipairs(state.shards) do
    list[index] = { name = shard.name, region = shard.region, priority = shard.priority, weight = shard.weight,
      keys = stats.keys(state, index, shard.inner), size = shard.handle:size(),
      drained = state.epoch.drained[index] or false, allocate = shard.allocate and not state.epoch.drained[index] }
  end
  return list
end

-- Of one key: `home` is the name of its newest home, `has_entry` whether somebody put it where it is.
local function info_of(state, index, tag, keyspace, text, name)
  local home = router.home(state, tag, keyspace, text)
  local info = { table = name, home = home and state.shards[home].name }
  return setmetatable(info, { __index = function(_, field)
    if field ~= "has_entry" then return nil end
    local _, id = state.directory:lookup(catalog.tag(tag, keyspace), text)
    return id == state.shards[index].id
  end }), home
end

local function raise_answer(policy, answer, key)
  errors.raise("SCRIPT", { key = key }, "policy %s returned %s for the key %s; it must return nil, or the name of a "
    .. "shard that takes new keys", policy.name, tostring(answer), tostring(key))
end

-- Where a key of a drained shard goes when the policy does not say: to its home, or to where the strategy would put it.
local function way_out(self, index, home, tag, keyspace, text, name)
  if home and home ~= index then return home end
  local key = { tag = tag, keyspace = keyspace, text = text, table = name }
  return allocate.choose(self.state, key, function(turn)
    self.turns[turn or "default"] = (self.turns[turn or "default"] or -1) + 1
    return self.turns[turn or "default"]
  end)
end

-- Where a key that stays will be: while an earlier placement is given up, that is its home, if it has no entry.
local function place_of(self, index, tag, home, keyspace, info)
  if not self.retiring or not home or home == index or info.has_entry then return index end
  return not ((tag or keyspace ~= "") and self.state.shards[home].keyspace ~= tag) and home or index
end

-- Where a key goes, and its home; and whether it is to stay where it is although it would go home in the end.
local function target_of(self, index, tag, keyspace, text, name)
  local state = self.state
  local info, home = info_of(state, index, tag, keyspace, text, name)
  local key, place = catalog.key_value(keyspace, text), place_of(self, index, tag, home, keyspace, info)
  if self.counting then return self.counting(index, place) end
  local answer = self.choose(key, state.shards[place].name, info)
  if answer == nil then
    return place ~= index and place
      or state.epoch.drained[index] and way_out(self, index, home, tag, keyspace, text, name), home
  end
  local target = state.by_name[answer]
  if not target or state.epoch.drained[target] then raise_answer(self.policy, answer, key) end
  return target, home, target == index and place ~= index
end

-- --- the look at every key -------------------------------------------------------------------

local SHOWN <const> = 1000 -- of `hidden`

-- Is it clear without a look at other shards that a key of the page is where its rows were seen? Then its entry says
-- so; or it has none, and the shard is the one that decides, and says nothing else.
local function stands_here(self, index, tag, keyspace, text, name)
  local state = self.state
  if self.owned[text] or members.may_be(state, keyspace, name) then return false end
  local epoch, id = state.directory:lookup(catalog.tag(tag, keyspace), text)
  if epoch ~= state.epoch.number then return false end
  if id then return id == state.shards[index].id end
  return router.decider(state, tag, keyspace, text) == index
end

-- Of a key that is on two shards, the shard whose rows it reaches, if that is another one. To move the rows that nobody
-- reaches would let them take the place of the others.
local function stands_elsewhere(self, index, tag, keyspace, text, name)
  local state = self.state
  if stands_here(self, index, tag, keyspace, text, name) then return nil end
  local done, at = pcall(router.resolve, state, catalog.tag(tag, keyspace), text, name, false)
  if not done and errors.is_interrupt(at) then error(at, 0) end
  if done and at ~= index and probe.has(state, at, tag, keyspace, text) then return at end
end

-- Are there two of them indeed? One that has moved since it was met here is on one shard alone.
local function is_doubled(self, index, at, tag, keyspace, text)
  return probe.has(self.state, index, tag, keyspace, text) and probe.has(self.state, at, tag, keyspace, text)
end

local function note_hidden(self, index, target, at, key)
  local hidden, shards = self.hidden, self.state.shards
  hidden.count = hidden.count + 1
  if hidden.count > SHOWN then return end
  hidden[hidden.count] = { key = key, from = shards[index].name, to = shards[target].name, code = "CONFLICT",
    message = ("the key %s has rows on %s too, and those stand: compare them, and delete those that are wrong by "
    .. "db:shard(name)"):format(tostring(key), shards[at].name) }
end

-- A group's key is met in each of its tables; a policy that counts what it sends away is asked about it once.
local function was_asked(self, keyspace, text)
  return self.meets_again
    and self.scratch:first("SELECT 1 AS yes FROM asked WHERE keyspace = ? AND key = ?", { keyspace, text }) ~= nil
end

local function note_asked(self, keyspace, text)
  if self.meets_again then self.scratch:run("INSERT INTO asked VALUES (?, ?)", { keyspace, text }) end
end

local VOID <const> = {} -- shards came, or keys are placed anew: the policy knows nothing of that

local function look_at(self, index, column, key)
  local state = self.state
  if #state.shards ~= self.shards or state.epoch.placement ~= self.placement then error(VOID, 0) end
  local space, text = core.key_parts(key)
  local tag, keyspace = catalog.untag(space or "")
  text = text or key
  if was_asked(self, keyspace, text) then return end
  local target, home, keeps = target_of(self, index, tag, keyspace, text, column.name)
  local stays = not target or target == index
    or ((tag or keyspace ~= "") and state.shards[target].keyspace ~= tag)
  local at = (not stays or keeps) and stands_elsewhere(self, index, tag, keyspace, text, column.name)
  if not at then note_asked(self, keyspace, text) end
  if keeps and not at and not self.dry_run then
    local claimed = state.directory:claim(catalog.tag(tag, keyspace), text, state.shards[index].id, state.epoch.number)
    if not claimed then error(VOID, 0) end -- in another epoch
  end
  if stays then return end
  if at and state.epoch.drained[index] and is_doubled(self, index, at, tag, keyspace, text) then
    note_hidden(self, index, target, at, catalog.key_value(keyspace, text))
  end
  if at then return end
  self.scratch:run("INSERT OR IGNORE INTO moves VALUES (?, ?, ?, ?, ?)", { index, target,
    catalog.tag(tag, keyspace), text, home == target })
end

local PAGE <const> = 1000

local OWNED <const> = "SELECT key FROM _collegedb_own WHERE keyspace = ? AND key IN (SELECT value FROM json_each(?))"

-- The keys of which the shard says something, or may do so, since JSON can not ask for them.
local function owned_keys(shard, keyspace, keys)
  local texts, owned = {}, {}
  for _, key in ipairs(keys) do
    local asks = utf8.len(key.text) and not key.text:find("\0", 1, true)
    if asks then texts[#texts + 1] = key.text else owned[key.text] = true end
  end
  local rows = fence.reading(shard.inner.all, shard.inner, OWNED, { keyspace, json.encode(texts) })
  for _, row in ipairs(rows or {}) do owned[row.key] = true end
  return owned
end

-- Keys whose entries are looked up together, and what the shard says of them.
local function look_at_page(self, index, column, page)
  local keys = {}
  if #page == 0 then return end
  for i, key in ipairs(page) do
    local space, text = core.key_parts(key)
    keys[i] = { keyspace = space or "", text = text or key }
  end
  self.owned = owned_keys(self.state.shards[index], column.keyspace, keys)
  self.state.directory:foreseeing(keys, function()
    for _, key in ipairs(page) do look_at(self, index, column, key) end
  end)
  self.looked = self.looked + #page
  if self.on_look and #page == PAGE then self.on_look(self.looked, self.state.shards[index].name) end
end

local function look_at_shard(self, index)
  local shard, columns, of = self.state.shards[index], catalog.key_columns(self.state.catalog, index), {}
  for _, column in ipairs(columns) do of[column.keyspace] = (of[column.keyspace] or 0) + 1 end
  self.scratch:run "DELETE FROM asked"
  for _, column in ipairs(columns) do
    self.meets_again = of[column.keyspace] > 1
    local tag, page = column.keyspace ~= "" and shard.keyspace or nil, {}
    for key in existing_keys.each(shard.inner, column, tag) do
      page[#page + 1] = key
      if #page == PAGE then
        look_at_page(self, index, column, page)
        page = {}
      end
    end
    look_at_page(self, index, column, page)
  end
end

local function sum_up(self, facts)
  self.total, self.moves = 0, {}
  for row in self.scratch:each [[SELECT source, target, count(*) AS n FROM moves GROUP BY source, target]] do
    local from = facts[row.source]
    self.total = self.total + row.n
    self.moves[#self.moves + 1] = { from = from.name, to = facts[row.target].name, keys = row.n,
      bytes = from.size * row.n // math.max(from.keys, row.n, 1) }
  end
end

local function look_at_all(self, only)
  for index in ipairs(self.state.shards) do
    if not only or only == index then look_at_shard(self, index) end
  end
end

-- The shards as a policy is to see them: with the keys that each has once all that go home are there.
local function with_homecomers(self, shards)
  self.counting = function(from, to)
    if from ~= to then shards[from].keys, shards[to].keys = shards[from].keys - 1, shards[to].keys + 1 end
  end
  look_at_all(self)
  self.counting = nil
  return shards
end

local function fill(self, only)
  local state, policy = self.state, self.policy
  local what, limit, facts = "policy " .. policy.name, state.config.script_limit, describe_shards(state)
  self.scratch:exec(TABLES)
  local seen = self.retiring and with_homecomers(self, describe_shards(state)) or describe_shards(state)
  local choose = loader.call(what, limit, policy.plan, seen, { hash = core.hash, random = math.random })
  if type(choose) ~= "function" then
    errors.raise("SCRIPT", nil, "%s: plan returned a %s; it must return a function (key, from, info)", what,
      type(choose))
  end
  self.choose = function(key, from, info) return loader.call(what, limit, choose, key, from, info) end
  look_at_all(self, only)
  sum_up(self, facts)
end

--- Makes a plan.
---@param state table of lua/collegedb/state.lua
---@param policy { name: string, plan: fun(shards: table[], ctx: table): function } of docs/scripts.md
---@param opts { only: integer?, retiring: boolean?, dry_run: boolean?, on_look: fun(looked: integer, shard: string)? }
--- only: the keys of this shard; retiring: keys without an entry go home in the end, also those that the policy says
--- nothing of. One that it leaves where it is gets an entry, unless it is a dry run
---@return collegedb.MovePlan? # nil when shards came, or keys are placed anew, since it was begun
function move_plan.make(state, policy, opts)
  local self = setmetatable({ state = state, policy = policy, looked = 0, turns = {}, hidden = { count = 0 },
    retiring = opts.retiring, dry_run = opts.dry_run, on_look = opts.on_look, shards = #state.shards,
    placement = state.epoch.placement }, Plan)
  self.scratch = core.sqlite("", { name = "the plan", scratch = true, journal_mode = "memory", synchronous = "off" })
  local done, err = pcall(fill, self, opts.only)
  if done then return self end
  self:close()
  if err ~= VOID then error(err, 0) end
end

--- The next groups to be moved, of one keyspace and one pair of shards, at most `most`; nil when there are none left.
---@param most integer
---@return { source: integer, target: integer, space: string, keys: string[], home: boolean }?
function Plan:take(most)
  local first = self.scratch:first "SELECT source, target, keyspace, home FROM moves LIMIT 1"
  if not first then return nil end
  local batch = { source = first.source, target = first.target, space = first.keyspace, keys = {},
    home = first.home == 1 }
  for row in self.scratch:each([[SELECT key FROM moves WHERE source = ? AND target = ? AND keyspace = ? AND home = ?
      ORDER BY key LIMIT ?]], { first.source, first.target, first.keyspace, first.home, most }) do
    batch.keys[#batch.keys + 1] = row.key
  end
  return batch
end

--- The groups of a batch are done with.
function Plan:drop(batch)
  for _, key in ipairs(batch.keys) do
    self.scratch:run("DELETE FROM moves WHERE source = ? AND target = ? AND keyspace = ? AND key = ?",
      { batch.source, batch.target, batch.space, key })
  end
end

return move_plan
