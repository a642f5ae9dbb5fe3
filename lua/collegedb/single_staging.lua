--- Copying the groups of a move into the stages of a shard that takes a statement at a time: many rows go as one JSON
-- text (src/bind/encode.c), and are read back to be compared. A chunk that was sent twice is there once.

local checks = require "collegedb.move_checks"
local core = require "collegedb.core"
local errors = require "collegedb.errors"
local fence = require "collegedb.fence"
local group = require "collegedb.group"
local procedures = require "collegedb.procedures"
local quote = require "collegedb.quote"
local references = require "collegedb.references"
local single_reads = require "collegedb.single_reads"
local staging = require "collegedb.staging"

-- D1 takes 2,000,000 bytes of values; the text is JSON inside of JSON there, where each quote has a sign before it.
local single_staging = { rows = 5000, bytes = 700000 } -- of a chunk, at most

-- The column's value, of the row `v`. pow(2, …) is exact.
local function cell(i)
  local function item(path) return ("json_extract(v, '$[%d]%s')"):format(i - 1, path) end
  local apart = ("substr((SELECT bytes FROM apart), %s, %s)"):format(item "[1]", item "[2]")
  return ("CASE json_type(v, '$[%d]') WHEN 'array' THEN CASE %s WHEN 0 THEN %s * pow(2.0, %s) WHEN 1 THEN CAST(%s AS "
    .. "TEXT) ELSE %s END ELSE %s END"):format(i - 1, item "[0]", item "[1]", item "[2]", apart, apart, item "")
end

-- ?1 the rows, ?2 the bytes that stand apart, ?3 the number of the first, ?4 the move.
local function write_sql(part)
  local cells = {}
  for i = 1, #part.columns do cells[i] = cell(i) end
  return ([[WITH apart AS MATERIALIZED (SELECT ?2 AS bytes),
    given AS MATERIALIZED (SELECT key AS n, value AS v FROM json_each(?1))
    INSERT INTO %s (_collegedb_row, %s) SELECT ?3 + n, %s FROM given
    WHERE EXISTS (SELECT 1 FROM _collegedb_open WHERE move = ?4 AND state = 'receiving') ON CONFLICT DO NOTHING]])
    :format(fence.stage_name(part), fence.column_list(part), table.concat(cells, ", "))
end

-- Digest and count of what is staged.
local function staged(job, part, first, last)
  local _, _, _, cursor = job.target.inner:each(("SELECT %s FROM %s WHERE _collegedb_row BETWEEN ?1 AND ?2 "
    .. "ORDER BY _collegedb_row"):format(fence.column_list(part), fence.stage_name(part)), { first, last })
  local rows <close> = cursor
  return core.copy_rows(rows, math.maxinteger, math.maxinteger)
end

-- Sends one chunk; returns its rows and whether there are more.
local function send(job, part, cursor, first)
  local json, pieces, rows, digest, more = core.encode_rows(cursor, single_staging.rows, single_staging.bytes)
  if rows == 0 then return 0, false end
  local apart = table.concat(pieces)
  if apart == "" then apart = "\0" end -- no value is read from it, but SQLite's substr() of an empty BLOB is NULL
  procedures.sure(job.target, "run", write_sql(part), { json, core.blob(apart), first, job.number })
  local count, staged_digest = staged(job, part, first, first + rows - 1)
  if count == 0 then checks.raise_taken_back(job) end
  if count ~= rows or staged_digest ~= digest then
    errors.raise("INTERNAL", { table = part.name, shard = job.target.name },
      "%d rows of %s were staged on %s, and %d are there, or they differ", rows, part.name, job.target.name, count)
  end
  return rows, more
end

-- What is wrong is asked in few statements, and then found one by one.
local function check(job)
  local conditions, first = {}, fence.first_row(job.number)
  for _, part in ipairs(job.matched) do
    for _, sql in ipairs(staging.clashes(job, part)) do conditions[#conditions + 1] = sql end
  end
  local last = fence.first_row(job.number + 1) - 1
  for _, sql in ipairs(references.staged(job)) do conditions[#conditions + 1] = sql end
  if not single_reads.any(job.target.inner, conditions, { first, last }) then return end
  if not fence.is_sending(job.source.inner, job.number) then checks.raise_taken_back(job) end -- others wrote meanwhile
  for _, part in ipairs(job.matched) do staging.check_clashes(job, job.target.inner, part, first, last) end
  references.check_staged(job, first, last)
end

--- Copies all rows of a move, and looks whether they can be brought in.
---@param job table of workflows/move.lua
---@param keep_alive fun(job: table) is called between two chunks
function single_staging.copy(job, keep_alive)
  for i, part in ipairs(job.parts) do
    local target, first = job.matched[i], fence.first_row(job.number)
    local _, _, _, cursor = job.source.inner:each(("SELECT %s FROM %s WHERE %s"):format(fence.column_list(part),
      quote.name(part.name), group.rows_sql(part, fence.keys_sql(job.keyspace, "?1"))), { job.number })
    local reader <close> = cursor
    local more
    repeat
      keep_alive(job)
      local rows
      rows, more = send(job, target, reader, first)
      first, job.rows = first + rows, job.rows + rows
    until not more
  end
  check(job)
end

return single_staging
