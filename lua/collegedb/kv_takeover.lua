--- Taking a key column's keys into a directory in a table KV: what src/directory/takeover.c
-- does for a SQLite directory, with the same plan and the same answers, and one value a key. Nothing is noted of how
-- far it has come, so each run reads all keys; those that have their entry cost one look.

local catalog = require "collegedb.catalog"
local core = require "collegedb.core"
local errors = require "collegedb.errors"
local quote = require "collegedb.quote"

local takeover = {}

local PAGE = 1000 -- keys in memory at once

local Takeover = {}
Takeover.__index = Takeover
takeover.class = Takeover -- lua/collegedb/single_takeover.lua takes the keys of a page together

-- Where a key may be of many rows, a page has their number as its second column.
local function read_sql(source, page)
  local counted = #source:run(page, { 0 }).columns > 1
  return ("WITH page(k%s) AS (%%s) SELECT k, %s AS n, typeof(k) AS kind FROM page"):format(
    counted and ", n" or "", counted and "n" or "1")
end

---@param dir table the directory in a table KV
---@param plan table as of lua/collegedb/integration.lua
function takeover.new(dir, plan)
  local tag, keyspace = catalog.untag(plan.keyspace)
  local page = plan.page and plan.page > 0 and math.min(plan.page, PAGE) or PAGE
  local source = core.inner(plan.source)
  local self = {
    dir = dir, plan = plan, source = source, sql = read_sql(source, plan.first_page), page = math.tointeger(page),
    full = catalog.tag(tag, keyspace), placement = plan.homes and #plan.homes > 0 and core.placement(plan.homes),
    tally = { records = 0, created = 0, at_home = 0, known = 0, conflicts = 0, unusable = 0 }, clashes = {},
  }
  return setmetatable(self, Takeover)
end

-- --- the plan, in this epoch ----------------------------------------------------------

-- Is the place to be asked, its shard being integrated or not?
local function asks(place, integrated)
  if not place.shard or place.when == "always" then return place.shard ~= nil end
  return integrated == (place.when ~= "awaiting")
end

-- What of the plan's places is to be asked in the epoch of now. Raises MOVED when the plan is void.
function takeover.look(self)
  local plan, shards = self.plan, {}
  local epoch, tables = self.dir:epoch(), self.dir.record.mirror
  local placement = tables:first "SELECT coalesce(max(number), 0) AS n FROM _collegedb_placements".n
  for row in tables:each "SELECT id, integrated, generation FROM _collegedb_shards" do shards[row.id] = row end
  local own = shards[plan.shard_id]
  if placement ~= plan.placement or (own and own.generation or 0) ~= plan.generation then
    errors.raise("MOVED", nil, "placement or integration were changed meanwhile; integrate again")
  end
  self.asked = {}
  for _, places in ipairs { plan.homes or {}, plan.others or {} } do
    for _, place in ipairs(places) do
      local row = shards[place.id]
      self.asked[place] = asks(place, row ~= nil and row.integrated == 1)
    end
  end
  self.epoch = epoch
end

-- --- one key ----------------------------------------------------------------------------

-- The key as the router would see it, or nil.
function takeover.to_text(plan, row)
  if row.kind == "integer" then return tostring(row.k) end
  if plan.integer or (row.kind ~= "text" and row.kind ~= "blob") then return nil end
  if row.k == "" or #row.k > core.key_max then return nil end
  return plan.fold and quote.fold(row.k) or row.k
end

local function has(self, place, text)
  return self.asked[place] and core.inner(place.shard):first(place.probe, { text }) ~= nil
end

-- Whether the key is at home here, and the shard where it also is and would stand before ours.
local function look_around(self, text)
  local plan, at_home = self.plan, false
  if self.placement then
    local home = plan.homes[self.placement:place(self.full, text)]
    at_home = home.id == plan.shard_id
    if not at_home and has(self, home, text) then return false, home.id end
  end
  for _, place in ipairs(plan.others or {}) do
    if has(self, place, text) then return at_home, place.id end
  end
  return at_home, nil
end

local function standing(self, text)
  local epoch, id = self.dir:lookup(self.full, text)
  return epoch == self.epoch, id
end

local function count_owner(self, text, owner)
  if owner == self.plan.shard_id then
    self.tally.known = self.tally.known + 1
  else
    self.tally.conflicts = self.tally.conflicts + 1
    self.clashes[#self.clashes + 1] = { key = text, other = owner }
  end
end

-- A key that is at home needs no entry, nor one that is left where it was seen
-- elsewhere; but one that is both would be looked for here first, where it does not stand.
-- False, and nothing counted, when the epoch is not that of the look any more.
local function take(self, text)
  local plan, tally = self.plan, self.tally
  local at_home, other = look_around(self, text)
  local valid, owner, created
  if at_home == (other ~= nil) and not plan.dry_run then
    owner, created = self.dir:note(self.full, text, other or plan.shard_id, self.epoch)
    valid = owner ~= nil
  else
    valid, owner = standing(self, text)
  end
  if not valid then return false end
  if created and not other then
    tally.created = tally.created + 1
  elseif owner or other then
    count_owner(self, text, owner or other)
  elseif at_home then
    tally.at_home = tally.at_home + 1
  else
    tally.created = tally.created + 1
  end
  return true
end

-- --- steps ----------------------------------------------------------------------------------

-- A blob goes back as a blob: as text it would stand before all of them.
function takeover.last_value(row) return row.kind == "blob" and core.blob(row.k) or row.k end

-- The next rows, with what SQLite calls their type.
function takeover.read_page(self)
  local params = { self.page }
  if self.last then params[2] = takeover.last_value(self.last) end
  return self.source:all(self.sql:format(self.last and self.plan.next_page or self.plan.first_page), params)
end

-- Takes the rows until the epoch changes; returns how many.
local function take_rows(self, rows)
  local tally = self.tally
  for i, row in ipairs(rows) do
    local text = takeover.to_text(self.plan, row)
    if text and not take(self, text) then return i - 1 end
    tally.records = tally.records + row.n
    if not text then tally.unusable = tally.unusable + row.n end
    self.last = row
  end
  return #rows
end

--- Takes a page of keys, or as many as the epoch lasts. Raises MOVED when the plan is void.
---@return boolean more may follow
---@return boolean stalled the epoch changed before the first of them
---@return boolean idle all was done before
function Takeover:step()
  self.clashes = {}
  if self.ended then return false, false, true end
  takeover.look(self)
  local rows = takeover.read_page(self)
  local taken = take_rows(self, rows)
  self.ended = taken == #rows and #rows < self.page
  return not self.ended, taken == 0 and #rows > 0, false
end

function Takeover:counts()
  local copy = {}
  for name, count in pairs(self.tally) do copy[name] = count end
  return copy
end

--- The conflicts of the last step, at most so many.
---@param most integer
---@return { key: string, other: integer }[] # other: the shard's id
function Takeover:conflicts(most)
  return table.move(self.clashes, 1, math.min(most, #self.clashes), 1, {})
end

return takeover
