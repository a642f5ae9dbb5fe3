--- The schema of a shard that is far away, to be asked here: its tables without their rows, in a database in memory
-- that is made of the schema's text. Where each statement is a request, the text is one, and the questions are many.

local core = require "collegedb.core"

local far_schema = {}

-- ms: so long it is taken for what it was, unless this program changed it.
far_schema.lately = 1000

local OWN <const> = "substr(name, 1, 4) <> '_cf_'" -- D1's own tables may not be asked about

-- Virtual tables make their own; then what others refer to.
local READ <const> = ([[SELECT json_group_array(json_array(type, name, sql)) AS text FROM (SELECT type, name, sql
  FROM sqlite_schema WHERE sql IS NOT NULL AND %s AND name NOT LIKE 'sqlite!_%%' ESCAPE '!'
  ORDER BY CASE WHEN sql LIKE 'create virtual%%' THEN 0 WHEN type = 'table' THEN 1 WHEN type = 'view' THEN 2
    WHEN type = 'index' THEN 3 ELSE 4 END, name)]]):format(OWN)

---@class collegedb.FarSchema
---@field text string
---@field looked integer ms, core.now
---@field altered integer how often this program had changed it
---@field version integer? of the text
---@field copy userdata|false|nil false: it can not be made here

local known = setmetatable({}, { __mode = "k" }) ---@type table<userdata, collegedb.FarSchema> by shard

-- Takes what the shard answered.
local function take(shard, text, altered)
  local before = known[shard]
  if before and before.text == text then
    before.looked, before.altered = core.now(), altered
    return before
  end
  known[shard] = { text = text, looked = core.now(), altered = altered }
  return known[shard]
end

local function is_fresh(found, shard, age)
  return found and core.now() - found.looked < age and found.altered == core.altered(shard)
end

--- Looks at the schemas of several shards, all of them at once.
---@param shards userdata[] or what stands for them
---@param age number ms; those that were looked at before that are not asked again. 0: all are asked
---@return collegedb.FarSchema[]
function far_schema.look(shards, age)
  local found, calls, at, altered = {}, {}, {}, {}
  for i, shard in ipairs(shards) do
    local base = core.base(shard)
    if is_fresh(known[base], base, age) then
      found[i] = known[base]
    else
      calls[#calls + 1], at[#calls + 1], altered[i] = { shard, READ }, i, core.altered(base)
    end
  end
  if #calls == 0 then return found end
  local rows, failed = core.together(calls, "first")
  for n, i in ipairs(at) do
    if failed[n] then error(failed[n], 0) end
    found[i] = take(core.base(shards[i]), rows[n].text, altered[i])
  end
  return found
end

--- A number that differs when the schema does.
---@param found collegedb.FarSchema
---@return integer
function far_schema.version(found)
  found.version = found.version or string.unpack("<i8", core.digest("", found.text))
  return found.version
end

-- What SQLite here can not make is asked for there: all of it, so that nothing is missed.
local function make(text)
  local copy = core.sqlite(":memory:", { name = "a schema" })
  for row in copy:each([[SELECT json_extract(value, '$[0]') AS type, json_extract(value, '$[1]') AS name,
      json_extract(value, '$[2]') AS sql FROM json_each(?)]], { text }) do
    local done = pcall(copy.exec, copy, row.sql)
    -- A table of a virtual one is there already.
    local there = copy:first("SELECT 1 AS yes FROM sqlite_schema WHERE name = ?", { row.name })
    if not done and not there then return false end
  end
  return copy
end

--- What answers questions about the shard's schema: the shard itself, or a copy of the schema as it was lately.
---@param shard userdata a shard or what stands for it
---@return userdata
function far_schema.of(shard)
  if core.kind(shard) ~= "d1" then return shard end
  local found = far_schema.look({ shard }, far_schema.lately)[1]
  if found.copy == nil then found.copy = make(found.text) end
  return found.copy or shard
end

return far_schema
