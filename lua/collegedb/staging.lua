--- Copying the groups of a move into the target's stages, in chunks, each of which is a transaction there: others get
-- at the target in between, and the move's lease is renewed. The source's fence keeps the rows as they are meanwhile.

local core = require "collegedb.core"
local errors = require "collegedb.errors"
local fence = require "collegedb.fence"
local group = require "collegedb.group"
local quote = require "collegedb.quote"

local staging = { rows = 20000, bytes = 16 << 20 } -- of a chunk, at most

local Staging = {}
Staging.__index = Staging

--- The rows of a move's groups, still to be copied. To be closed.
---@param job table of workflows/move.lua
function staging.new(job)
  return setmetatable({ job = job, at = 0, next_row = {}, rows = 0 }, Staging)
end

local function close_cursor(self)
  local _ <close> = self.cursor
  self.cursor = nil
end

Staging.__close = close_cursor

-- The next part, with its rows to be read.
local function open_part(self)
  close_cursor(self)
  self.at = self.at + 1
  local job, part = self.job, self.job.parts[self.at]
  if not part then return false end
  self.list = fence.column_list(part)
  local _, _, _, cursor = job.source.inner:each(("SELECT %s FROM %s WHERE %s"):format(self.list, quote.name(part.name),
    group.rows_sql(part, fence.keys_sql(job.keyspace, "?1"))), { job.number })
  self.cursor, self.next = cursor, fence.first_row(job.number)
  local marks = {}
  for i = 1, #part.columns do marks[i] = "?" .. i end
  self.write = ("INSERT INTO %s (%s, _collegedb_row) VALUES (%s, ?%d)"):format(fence.stage_name(part), self.list,
    table.concat(marks, ", "), #part.columns + 1)
  return true
end

-- Of the source: which key has the row of a part that is staged as `row`.
local function key_of(job, part, row)
  local where, values = {}, {}
  for i, name in ipairs(part.columns) do
    where[i] = ("t.%s IS ?%d"):format(quote.name(name), i)
    values[i] = row[name] == nil and core.null or row[name]
  end
  local found = job.source.inner:first(("SELECT %s AS key FROM %s AS t WHERE %s LIMIT 1"):format(
    group.key_sql(part, "t"), quote.name(part.name), quote.joined(where, "AND")), values)
  return found and found.key or job.keys[1]
end

local function fail_clash(job, part, set, row, where)
  local names = {}
  for i, column in ipairs(set) do names[i] = column.name end
  local key = key_of(job, part, row)
  errors.raise("CONFLICT", { key = key, shard = job.target.name, table = part.name }, "the key %s can not go from %s "
    .. "to %s: a row of %s %s has the same %s", key, job.source.name, job.target.name, part.name, where,
    table.concat(names, ", "))
end

-- Staged rows, ?1 to ?2, that are equal to one of another table in a set of columns.
local CLASHING <const> = [[FROM %s AS s WHERE s._collegedb_row BETWEEN ?1 AND ?2
  AND EXISTS (SELECT 1 FROM %s AS t WHERE %s)]]

local function clashing(job, part, set)
  local stage, equal = fence.stage_name(part), fence.equal_sql(set, "t", "s")
  return CLASHING:format(stage, quote.name(part.name), equal),
    CLASHING:format(stage, stage, equal .. " AND NOT t." .. fence.staged_sql(tostring(job.number)))
end

--- Conditions, as SQL, that are true when a part's staged rows, ?1 to ?2, have values that must be unique, and that a
-- row of the target has, or one that another move has staged.
---@return string[]
function staging.clashes(job, part)
  local list = {}
  for _, set in ipairs(fence.loose_sets(part)) do
    for _, sql in ipairs { clashing(job, part, set) } do list[#list + 1] = ("EXISTS (SELECT 1 %s)"):format(sql) end
  end
  return list
end

--- Raises CONFLICT for such rows.
---@param tx userdata reads the target
---@param first integer the rows' numbers
---@param last integer
function staging.check_clashes(job, tx, part, first, last)
  for _, set in ipairs(fence.loose_sets(part)) do
    local here, staged = clashing(job, part, set)
    local read = ("SELECT %s %%s LIMIT 1"):format(fence.column_list(part))
    local row = tx:first(read:format(here), { first, last })
    if row then fail_clash(job, part, set, row, "on " .. job.target.name) end
    row = tx:first(read:format(staged), { first, last })
    if row then fail_clash(job, part, set, row, "that is on its way there") end
  end
end

-- Copies rows of the part that is open, compares what is staged with what was read, and returns how many.
local function copy_rows(self, tx, most)
  local job, part = self.job, self.job.matched[self.at]
  local rows, digest, more = core.copy_rows(self.cursor, most, staging.bytes, tx, self.write, self.next)
  local last = self.next + rows - 1
  local _, _, _, cursor = tx:each(("SELECT %s FROM %s WHERE _collegedb_row BETWEEN ?1 AND ?2 ORDER BY _collegedb_row")
    :format(self.list, fence.stage_name(part)), { self.next, last })
  local staged_rows <close> = cursor
  local staged, staged_digest = core.copy_rows(staged_rows, math.maxinteger, math.maxinteger)
  if rows ~= staged or digest ~= staged_digest then
    errors.raise("INTERNAL", { table = part.name, shard = job.target.name },
      "%d rows of %s were staged on %s, and %d are there, or they differ", rows, part.name, job.target.name, staged)
  end
  staging.check_clashes(job, tx, part, self.next, last)
  self.next = last + 1
  return rows, more
end

--- Copies one chunk, inside a transaction of the target: from its commit on the fence keeps for the staged rows what
-- must be unique.
---@return boolean more
function Staging:chunk(tx)
  local left = staging.rows
  while left > 0 do
    if not self.cursor and not open_part(self) then return false end
    local rows, more = copy_rows(self, tx, left)
    left, self.rows = left - rows, self.rows + rows
    if more then return true end
    close_cursor(self)
  end
  return true
end

return staging
