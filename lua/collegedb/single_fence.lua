--- The fence of a shard without transactions over several statements: put up piece by piece, whole at every moment, and
-- left standing.
--
-- Its triggers have a tag in their names, of the text they were made from. A tag is being built; then one conditional
-- statement installs it in `_collegedb_fence` if all of its triggers are there, and retires the one before; triggers of
-- a retired tag are dropped. A retired tag never comes back, so that whoever is slow drops nothing that stands.
-- Whoever takes keys names the tag, and the statement that takes them looks whether it stands (procedures.lua). Stages
-- have the columns' tag in their names, and stay.

local clearing = require "collegedb.clearing"
local core = require "collegedb.core"
local errors = require "collegedb.errors"
local fence = require "collegedb.fence"
local group = require "collegedb.group"
local inspect = require "collegedb.inspect"
local procedures = require "collegedb.procedures"
local quote = require "collegedb.quote"
local references = require "collegedb.references"

local single_fence = {}

local HASH <const> = 16 -- digits of a tag that tell its text; the others are how many were retired before
local ATTEMPTS <const> = 8

local function digits(text) return ("%016x"):format(core.hash(text)) end

---@class collegedb.Standing a fence as somebody saw it
---@field tag string empty where the keyspace has no tables
---@field triggers integer how many it has
---@field schema string of the shard, as users see it
---@field parts collegedb.Part[]

--- The schema that the catalog was read from.
---@return string
function single_fence.schema(state, index)
  local shard = state.shards[index]
  for _ = 1, ATTEMPTS do
    local schema = shard.inner:first("SELECT " .. procedures.SCHEMA .. " AS text").text
    if inspect.version(shard.inner) == state.catalog.versions[index] then return schema end
    state:refresh_catalog(true)
  end
  errors.raise("BUSY", { shard = shard.name }, "the schema of %s changes faster than it can be read", shard.name)
end

local function parts_of(state, index, keyspace)
  local parts, shard = group.parts(state.catalog, index, keyspace), state.shards[index]
  group.read_storage(shard.inner, parts)
  local list = references.of(shard, parts)
  parts = clearing.order(parts, list)
  for _, part in ipairs(parts) do part.mark = digits(table.concat(fence.stage_sql(part))) .. "_" end
  return parts
end

-- Staged rows of a move that is taken back.
local function discard(keyspace, parts, tag)
  local steps = {}
  for i, part in ipairs(parts) do
    steps[i] = ("DELETE FROM %s WHERE %s;"):format(fence.stage_name(part), fence.staged_sql "OLD.move")
  end
  return ("CREATE TRIGGER %s AFTER DELETE ON _collegedb_open WHEN OLD.state = 'receiving' AND OLD.keyspace = %s BEGIN "
    .. "%s END;\n"):format(quote.name(("_collegedb_fence_%s_discard_%s"):format(tag, keyspace)),
    quote.literal(keyspace), table.concat(steps, " "))
end

-- The script that puts it up, and how many triggers there are.
local function texts_of(keyspace, parts, tag)
  local texts = {}
  for _, part in ipairs(parts) do
    for _, sql in ipairs(fence.stage_sql(part)) do texts[#texts + 1] = sql end
  end
  local stages = #texts
  for _, each in ipairs(fence.triggers(keyspace, parts, tag)) do texts[#texts + 1] = each.sql end
  texts[#texts + 1] = discard(keyspace, parts, tag)
  for i, sql in ipairs(texts) do texts[i] = sql:gsub("^CREATE (%u+) ", "CREATE %1 IF NOT EXISTS ") end
  return table.concat(texts), #texts - stages
end

local STATE <const> = ([[SELECT coalesce((SELECT text FROM _collegedb_fence WHERE keyspace = ?1), '') AS tag,
  (SELECT count(*) FROM _collegedb_retired) AS retired,
  EXISTS (SELECT 1 FROM _collegedb_open WHERE keyspace = ?1) AS open, %s AS triggers]]):format(
  procedures.count "coalesce((SELECT text FROM _collegedb_fence WHERE keyspace = ?1), '-')")

local INSTALL <const> = ([[INSERT INTO _collegedb_fence SELECT ?1, ?2 WHERE %s = ?3 AND %s = ?4
  AND NOT EXISTS (SELECT 1 FROM _collegedb_retired WHERE tag = ?2)
  AND NOT EXISTS (SELECT 1 FROM _collegedb_open WHERE keyspace = ?1)
  AND coalesce((SELECT text FROM _collegedb_fence WHERE keyspace = ?1), '') = ?5
  ON CONFLICT DO UPDATE SET text = excluded.text]]):format(procedures.SCHEMA, procedures.count "?2")

--- SQL of a condition: a fence stands as it was seen (?5 its tag, ?6 how many triggers, ?7 the schema) for keyspace ?1.
single_fence.STANDS = ("%s AND %s = ?7"):format(procedures.stands("?1", "?5", "?6"), procedures.SCHEMA)

-- Triggers of fences that stand no more.
local function drop_retired(shard)
  local script = {}
  for i, row in ipairs(shard.inner:all(([[SELECT name FROM sqlite_schema WHERE type = 'trigger'
      AND substr(name, 1, 17) = '_collegedb_fence_'
      AND substr(name, 18, %d) IN (SELECT tag FROM _collegedb_retired)]]):format(HASH + 6))) do
    script[i] = ("DROP TRIGGER IF EXISTS %s;\n"):format(quote.name(row.name))
  end
  if #script > 0 then procedures.sure(shard, "exec", table.concat(script)) end
end

local function retire(shard, tag)
  procedures.sure(shard, "run", [[INSERT INTO _collegedb_retired SELECT ?1
    WHERE NOT EXISTS (SELECT 1 FROM _collegedb_fence WHERE text = ?1) ON CONFLICT DO NOTHING]], { tag })
  drop_retired(shard)
end

-- One try to have a fence of these parts stand; nil when others were faster, or the schema changed.
local function put_up(shard, keyspace, parts, schema)
  local now = shard.inner:first(STATE, { keyspace })
  local text = digits((texts_of(keyspace, parts, "")))
  local same = now.tag:sub(1, HASH) == text
  local tag = same and now.tag or text .. ("%06x"):format(now.retired)
  local script, triggers = texts_of(keyspace, parts, tag)
  if same and now.triggers == triggers then return tag, triggers end
  if now.open == 1 then fence.raise_changed(shard.name) end
  procedures.sure(shard, "exec", script) -- of one that stands: a table was dropped, and made again
  if same then return nil end
  procedures.sure(shard, "run", INSTALL, { keyspace, tag, schema, triggers, now.tag })
  if shard.inner:first(STATE, { keyspace }).tag ~= tag then
    retire(shard, tag)
    return nil
  end
  if now.tag ~= "" then drop_retired(shard) end
  return tag, triggers
end

--- Has the fence for the groups of a keyspace stand on shard `index`; what this process has seen standing it believes
-- until the schema changes, or `anew` is said.
---@param state table of lua/collegedb/state.lua
---@param anew boolean?
---@return collegedb.Standing
function single_fence.hold(state, index, keyspace, anew)
  local shard, id = state.shards[index], index .. ":" .. keyspace
  procedures.make(shard)
  for _ = 1, ATTEMPTS do
    local held = state.catalog.held
    if held and held[id] and not anew then return held[id] end
    local schema = single_fence.schema(state, index)
    local parts = parts_of(state, index, keyspace)
    local tag, triggers = "", 0
    if #parts > 0 then tag, triggers = put_up(shard, keyspace, parts, schema) end
    if tag then
      state.catalog.held = state.catalog.held or {}
      state.catalog.held[id] = { tag = tag, triggers = triggers, schema = schema, parts = parts }
      return state.catalog.held[id]
    end
  end
  errors.raise("BUSY", { shard = shard.name }, "the fence of %s changes faster than it can be put up", shard.name)
end

-- Of those who died while they put a fence up. Who is at it begins anew, with another tag.
local UNFINISHED <const> = ([[SELECT DISTINCT substr(name, 18, %d) AS tag FROM sqlite_schema WHERE type = 'trigger'
  AND substr(name, 1, 17) = '_collegedb_fence_' AND substr(name, 18, %d) NOT IN (SELECT text FROM _collegedb_fence)]])
  :format(HASH + 6, HASH + 6)

--- Removes triggers of fences that were never whole, or stand no more.
---@return boolean any
function single_fence.clear_unfinished(shard)
  local rows = fence.reading(shard.inner.all, shard.inner, UNFINISHED) or {}
  for _, row in ipairs(rows) do retire(shard, row.tag) end
  return #rows > 0
end

local REMOVE <const> = ([[DELETE FROM _collegedb_fence WHERE keyspace = ?1 AND text = ?2 AND %s = ?3
  AND NOT EXISTS (SELECT 1 FROM _collegedb_open WHERE keyspace = ?1)]]):format(procedures.SCHEMA)

--- Takes down the fence of a keyspace whose tables are gone, unless keys of it are on their way.
---@param seen { keyspace: string, text: string } its row
function single_fence.remove(state, index, seen)
  local shard, schema = state.shards[index], single_fence.schema(state, index)
  if #group.parts(state.catalog, index, seen.keyspace) > 0 then return end -- made again meanwhile
  procedures.sure(shard, "run", REMOVE, { seen.keyspace, seen.text, schema })
  drop_retired(shard)
end

local BARE <const> = [[SELECT NOT EXISTS (SELECT 1 FROM _collegedb_own) AND EXISTS (SELECT 1 FROM _collegedb_fence)
  AS bare]]

--- Does a fence stand before no key?
function single_fence.is_bare(shard)
  local row = fence.reading(shard.inner.first, shard.inner, BARE)
  return row ~= nil and row.bare == 1
end

--- Takes such a fence down. The next one has another tag; what it is made with, and its stages, stay.
---@return boolean removed
function single_fence.remove_bare(shard)
  procedures.sure(shard, "run", "DELETE FROM _collegedb_fence WHERE NOT EXISTS (SELECT 1 FROM _collegedb_own)")
  local left = shard.inner:first "SELECT count(*) AS n FROM _collegedb_fence".n
  drop_retired(shard)
  return left == 0
end

return single_fence
