--- Taking a key column's keys into a directory without transactions over several statements: what
-- src/directory/takeover.c does for a file, with the same plan, answers and journal. A page of keys takes three
-- requests to the directory: for the epoch, for the entries that are there, and one that writes the others and notes
-- how far it has come, if epoch and entries are still the same.

local core = require "collegedb.core"
local errors = require "collegedb.errors"
local json = require "collegedb.json"
local journal = require "collegedb.journal"
local kv_takeover = require "collegedb.kv_takeover"
local single_store = require "collegedb.single_store"

local takeover = {}

local PAGE <const> = 5000  -- keys at once
local RACES <const> = 20   -- for a page whose keys others insert meanwhile

local COUNTS <const> = { "records", "created", "at_home", "known", "conflicts", "unusable" }

local Takeover = setmetatable({}, { __index = kv_takeover.class })
Takeover.__index = Takeover

---@param dir collegedb.SingleDirectory
---@param plan table as of lua/collegedb/integration.lua
function takeover.new(dir, plan)
  local self = setmetatable(kv_takeover.new(dir, plan), Takeover)
  local most = plan.batch and plan.batch > 0 and math.min(plan.batch, PAGE) or PAGE
  if plan.page and plan.page > 0 then most = math.min(most, plan.page) end
  self.page, self.kept, self.placed = math.tointeger(most), 0, plan.dry_run or plan.job == 0
  return self
end

-- --- the journal ------------------------------------------------------------------------------------

local FIND <const> = [[SELECT last, typeof(last) AS kind, ended, records, created, at_home, known, conflicts, unusable
  FROM _collegedb_takes WHERE job = ? AND item = ?]]

-- Where the journal says that this column was.
local function find_place(self)
  self.placed = true
  local row = self.dir.journal:first(FIND, { self.plan.job, self.plan.item })
  if not row then return end
  for _, name in ipairs(COUNTS) do self.tally[name] = row[name] end
  self.last = row.last ~= nil and { k = row.last, kind = row.kind } or nil
  self.ended = row.ended == 1
end

-- --- what a page's keys are -----------------------------------------------------------------------------

-- The keys of the rows, each with its digest and its home; and how many rows have none that could be used.
local function items_of(self, rows)
  local plan, items, unusable, records = self.plan, {}, 0, 0
  for _, row in ipairs(rows) do
    local text = kv_takeover.to_text(plan, row)
    records = records + row.n
    if text then
      local home = self.placement and plan.homes[self.placement:place(self.full, text)] or nil
      items[#items + 1] = { text = text, digest = core.digest(self.full, text, self.dir.secret), home = home,
        at_home = home ~= nil and home.id == plan.shard_id }
    else
      unusable = unusable + row.n
    end
  end
  return items, records, unusable
end

local function is_plain(text) return utf8.len(text) ~= nil and not text:find "\0" end

-- Asks a place for keys: in one statement where each is a request.
local function ask(place, items)
  local shard, texts = core.inner(place.shard), {}
  local together = core.is_single(place.shard) and place.probe_many
  for i, item in ipairs(items) do
    together = together and is_plain(item.text)
    texts[i] = item.text
  end
  if together then
    for row in shard:each(place.probe_many, { json.encode(texts) }) do items[row.position + 1].other = place.id end
    return
  end
  for _, item in ipairs(items) do
    if shard:first(place.probe, { item.text }) then item.other = place.id end
  end
end

-- Looks which keys are elsewhere too, where they would stand before ours.
local function look_around(self, items)
  local at = {}
  for _, item in ipairs(items) do
    if item.home and not item.at_home and self.asked[item.home] then
      at[item.home] = at[item.home] or {}
      table.insert(at[item.home], item)
    end
  end
  for place, list in pairs(at) do ask(place, list) end
  for _, place in ipairs(self.plan.others or {}) do
    local list = {}
    for _, item in ipairs(items) do
      if not item.other then list[#list + 1] = item end
    end
    if self.asked[place] and #list > 0 then ask(place, list) end
  end
end

-- --- what becomes of them --------------------------------------------------------------------------------

-- A key that is at home needs no entry, nor one that is left where it was seen elsewhere; but one that is both would be
-- looked for here first, where it does not stand.
local function judge(self, items, found)
  local plan, tally, given = self.plan, {}, {}
  local change = { fresh = {}, digests = {}, clashes = {}, tally = tally }
  for _, name in ipairs(COUNTS) do tally[name] = self.tally[name] end
  for i, item in ipairs(items) do
    local owner, created = given[item.digest] or (found[i] and found[i].shard), false
    if not owner and item.at_home == (item.other ~= nil) and not plan.dry_run then
      owner, created = item.other or plan.shard_id, true
      change.fresh[#change.fresh + 1], change.digests[#change.digests + 1] = { owner, 0 }, item.digest
      given[item.digest] = owner
    end
    local other = owner or item.other
    if created and not item.other then tally.created = tally.created + 1
    elseif other == plan.shard_id then tally.known = tally.known + 1
    elseif other then
      tally.conflicts = tally.conflicts + 1
      change.clashes[#change.clashes + 1] = { key = item.text, other = other }
    elseif item.at_home then tally.at_home = tally.at_home + 1
    else tally.created = tally.created + 1 end
  end
  return change
end

-- What is noted: how far it has come, and conflicts as long as there is room for them.
local function add_notes(self, change, what, last, ended)
  local plan, take, keys, at = self.plan, { self.plan.job, self.plan.item, ended and 1 or 0 }, {}, 1
  for _, name in ipairs(COUNTS) do take[#take + 1] = change.tally[name] end
  what.takes, what.clashes = { take }, {}
  for i = 1, math.min(#change.clashes, plan.keep - self.kept) do
    local each = change.clashes[i]
    keys[i], what.clashes[i] = each.key, { plan.job, plan.item, at, #each.key, each.other }
    at = at + #each.key
  end
  return { claim = journal.number("integrate", plan.shard_id), user = self.dir.presence.id,
    keys = table.concat(keys), last = last and kv_takeover.last_value(last) or nil, mark = core.blob "" }
end

-- Writes a page; the procedure's word if that is not possible.
local function write(self, change, last, ended)
  if self.plan.dry_run then
    if self.dir:epoch() == self.epoch then return nil end
    return "epoch"
  end
  local what = { fresh = change.fresh }
  local fields = self.plan.job ~= 0 and add_notes(self, change, what, last, ended) or {}
  fields.id, fields.epoch, fields.what = single_store.name(), self.epoch, what
  fields.digests = table.concat(change.digests)
  if not self.dir.presence:keep() then self.dir.presence:enter() end
  local _, word = self.dir.store:change(fields)
  return word
end

local function raise_taken_over(self)
  errors.raise("CONFLICT", nil, "another program has taken the integration over, since nothing was heard of this one; "
    .. "the directory is %s", self.dir.path)
end

-- True when the page was taken, false when the epoch is another.
local function take(self, rows, ended)
  local items, records, unusable = items_of(self, rows)
  local last = rows[#rows] or self.last
  look_around(self, items)
  local digests = {}
  for i, item in ipairs(items) do digests[i] = item.digest end
  for _ = 1, RACES do
    local change = judge(self, items, self.dir:entries_of(table.concat(digests)))
    change.tally.records, change.tally.unusable = change.tally.records + records, change.tally.unusable + unusable
    local word = write(self, change, last, ended)
    if word == "claim" or word == "lapsed" then raise_taken_over(self) end
    if word == "epoch" then return false end
    if not word then
      self.tally, self.clashes, self.last, self.ended = change.tally, change.clashes, last, ended
      self.kept = self.kept + #change.clashes
      return true
    end
  end
  return false
end

-- As many of the rows as one change can say something of: of long keys that are conflicts, fewer.
local function take_some(self, rows, ended)
  local done, answer = pcall(take, self, rows, ended)
  if done then return answer end
  if not errors.is_error(answer, "TOO_LARGE") or #rows < 2 then error(answer, 0) end
  self.page = #rows // 2
  return take_some(self, table.move(rows, 1, self.page, 1, {}), false)
end

--- Takes a page of keys. Raises MOVED when the plan is void, and CONFLICT when the work was taken over.
---@return boolean more may follow
---@return boolean stalled the epoch changed meanwhile
---@return boolean idle all was done before
function Takeover:step()
  self.clashes = {}
  if not self.placed then find_place(self) end
  if self.ended then return false, false, true end
  kv_takeover.look(self)
  local rows = kv_takeover.read_page(self)
  local taken = take_some(self, rows, #rows < self.page)
  return not self.ended, not taken, false
end

return takeover
