--- Taking a table's keys into a directory in a table KV: what src/directory/takeover.c
-- does for a SQLite directory, with the same plan, the same answers, and one value a key.

local catalog = require "collegedb.catalog"
local core = require "collegedb.core"
local errors = require "collegedb.errors"
local quote = require "collegedb.quote"

local takeover = {}

local PAGE = 1000 -- keys in memory at once
local CONFLICTS_KEPT = 1000

local Takeover = {}
Takeover.__index = Takeover

---@param dir table the directory in a table KV
---@param plan table as core.takeover takes it
function takeover.new(dir, plan)
  local tag, keyspace = catalog.untag(plan.keyspace)
  local page = plan.page and plan.page > 0 and math.min(plan.page, PAGE) or PAGE
  return setmetatable({
    dir = dir, plan = plan, page = math.tointeger(page), full = catalog.tag(tag, keyspace),
    placement = plan.homes and #plan.homes > 0 and core.placement(plan.homes),
    tally = { records = 0, created = 0, at_home = 0, known = 0, conflicts = 0, unusable = 0 }, kept = {},
  }, Takeover)
end

-- The key as the router would see it, or nil.
local function to_text(plan, row)
  if row.kind == "integer" then return tostring(row.k) end
  if plan.integer or (row.kind ~= "text" and row.kind ~= "blob") then return nil end
  if row.k == "" or #row.k > core.key_max then return nil end
  return plan.fold and quote.fold(row.k) or row.k
end

-- A blob goes back as a blob: as text it would stand before all of them.
local function last_value(row) return row.kind == "blob" and core.blob(row.k) or row.k end

-- The next rows, with what SQLite calls their type.
local function read_page(self)
  local plan = self.plan
  local sql = ("WITH page(k) AS (%s) SELECT k, typeof(k) AS kind FROM page"):format(
    self.last == nil and plan.first_page or plan.next_page)
  local params = { self.page }
  if self.last ~= nil then params[2] = last_value(self.last) end
  return core.inner(plan.source):all(sql, params)
end

local function has(place, text)
  return place.shard ~= nil and core.inner(place.shard):first(place.probe, { text }) ~= nil
end

-- Whether the key is at home here, and the shard where it also is and would stand before ours.
local function look_around(self, text)
  local plan, at_home = self.plan, false
  if self.placement then
    local home = plan.homes[self.placement:place(self.full, text)]
    at_home = home.id == plan.shard_id
    if not at_home and has(home, text) then return false, home.id end
  end
  for _, place in ipairs(plan.others or {}) do
    if has(place, text) then return at_home, place.id end
  end
  return at_home, nil
end

local function standing(self, text)
  local _, id = self.dir:lookup(self.full, text)
  return id
end

local function count_owner(self, text, owner)
  local tally = self.tally
  if owner == self.plan.shard_id then
    tally.known = tally.known + 1
    return
  end
  tally.conflicts = tally.conflicts + 1
  if #self.kept < CONFLICTS_KEPT then self.kept[#self.kept + 1] = { key = text, other = owner } end
end

-- A key that is at home needs no entry, nor one that is left where it was seen
-- elsewhere; but one that is both would be looked for here first, where it does not stand.
local function take(self, text)
  local plan, tally = self.plan, self.tally
  local at_home, other = look_around(self, text)
  local owner, created
  if at_home == (other ~= nil) and not plan.dry_run then
    owner, created = self.dir:note(self.full, text, other or plan.shard_id, plan.epoch)
  else
    owner = standing(self, text)
  end
  if created and not other then
    tally.created = tally.created + 1
  elseif owner or other then
    count_owner(self, text, owner or other)
  elseif at_home then
    tally.at_home = tally.at_home + 1
  else
    tally.created = tally.created + 1
  end
end

local function check_epoch(self)
  local now = self.dir:epoch()
  if now ~= self.plan.epoch then
    errors.raise("MOVED", nil, "the epoch changed from %d to %d meanwhile; integrate again", self.plan.epoch, now)
  end
end

--- Takes a page of keys. Raises MOVED when the epoch is not the plan's any more: what was written
-- until then is true, and is known to the next attempt.
---@return boolean more may follow
function Takeover:step()
  if self.ended then return false end
  check_epoch(self)
  local rows, tally = read_page(self), self.tally
  for _, row in ipairs(rows) do
    local last = self.last
    -- A column without a UNIQUE index may repeat its keys; they come one after another.
    if not last or last.k ~= row.k or last.kind ~= row.kind then
      tally.records = tally.records + 1
      local text = to_text(self.plan, row)
      if text then take(self, text) else tally.unusable = tally.unusable + 1 end
      self.last = row
    end
  end
  check_epoch(self)
  self.ended = #rows < self.page
  return not self.ended
end

function Takeover:counts()
  local copy = {}
  for name, count in pairs(self.tally) do copy[name] = count end
  return copy
end

--- { { key =, other = shard id }, … }, the first thousand.
function Takeover:conflicts() return self.kept end

return takeover
