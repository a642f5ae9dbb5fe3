--- The directory's part in moves: their numbers, which movers may still live, and where keys have gone.
--
-- A mover has a lease, which it renews. Where both shards and the directory are files it also holds a lock, so that its
-- death is known at once. A shard that is far away may do what a dead mover had asked for some time after.

local errors = require "collegedb.errors"
local fence = require "collegedb.fence"
local move_locks = require "collegedb.move_locks"

local moves = {}

-- The row of the highest number that a shard has heard of. What is no number of a move is another's, or damage.
local function highest(shard)
  return fence.reading(shard.inner.first, shard.inner,
    "SELECT max(move) AS n FROM _collegedb_own WHERE typeof(move) = 'integer' AND move < 1 << 60")
end

--- Seconds after which others may take a move for dead whose mover has not renewed its lease.
moves.lease = 60

-- A shard that is far away and has no part in the move is not asked: the counter is above of what it had seen when the
-- directory was opened (mend.lua).
local function floor_of_shards(job)
  local floor = 1
  for _, shard in ipairs(job.state.shards) do
    local asked = not shard.single or shard == job.source or shard == job.target
    local own = asked and highest(shard)
    floor = math.max(floor, own and own.n or 0)
  end
  return floor
end

--- Journals a move, under a number above every one that its keys have seen. Raises MOVED when the epoch is not the one
-- any more in which the caller looked.
---@param job table of workflows/move.lua
---@return integer number
function moves.begin(directory, job)
  local number = directory:begin_move { keyspace = job.keyspace, digests = job.digests, source = job.source.id,
    target = job.target.id, epoch = job.state.epoch.number, floor = floor_of_shards(job),
    lease = moves.lease, hold = not job.source.single and not job.target.single }
  if number then return number end
  errors.raise("MOVED", nil, "the shards were changed while a move was begun: look again where the key is")
end

--- Says that the mover is alive. False when others took it for dead.
---@return boolean
function moves.renew(directory, number)
  directory:stay()
  return directory.journal:first("UPDATE _collegedb_moves SET lease = unixepoch() + ? WHERE number = ? "
    .. "RETURNING number", { moves.lease, number }) ~= nil
end

--- Another one after every step of a move that shows to others; the same while none is under way.
function moves.stamp(directory)
  if not directory.keeps_journal then return 0 end -- nothing moves
  local row = directory.journal:first [[SELECT (SELECT value FROM _collegedb_counters WHERE name = 'move') AS number,
    (SELECT count(*) FROM _collegedb_moves) AS open]]
  if row.open > 0 then return {} end
  return row.number
end

local LINE <const> = "SELECT *, lease - unixepoch() AS remains FROM _collegedb_moves"

local function line(directory, number) return directory.journal:first(LINE .. " WHERE number = ?", { number }) end

-- Does the mover of a line live, as far as can be told? Nil when the line has gone meanwhile. A mover lets go of its
-- lock only after its line has gone: a lock that is free between two looks at the line is a dead mover's.
local function lives(directory, row)
  if row.remains < 0 then return false end
  if not move_locks.is_free(directory, row) then return true end
  if line(directory, row.number) then return false end
end

--- May the mover of this number still be at work?
---@param begun integer? when its keys were taken, as os.time: of a move that this directory does not know, and another
-- one may
---@return boolean
---@return integer? remains seconds until it is taken for dead if nothing is heard of it
function moves.is_live(directory, number, begun)
  local row = line(directory, number)
  local live = row and lives(directory, row)
  if live ~= nil then return live, live and row.remains or nil end
  local remains = begun and begun + moves.lease - os.time()
  live = begun ~= nil and remains >= 0
  return live, live and remains or nil
end

--- The lines of the journal.
---@return { number: integer, source: integer, target: integer, live: boolean, remains: integer }[] remains: seconds of
--- its lease
function moves.lines(directory)
  local list = {}
  for _, row in ipairs(directory.journal:all(LINE .. " ORDER BY number")) do
    row.live = lives(directory, row)
    if row.live ~= nil then list[#list + 1] = row end
  end
  return list
end

--- The numbers of moves whose mover is dead, or has said nothing for as long as its lease.
---@return integer[]
function moves.dead(directory)
  local numbers = {}
  for _, row in ipairs(moves.lines(directory)) do
    if not row.live then numbers[#numbers + 1] = row.number end
  end
  return numbers
end

--- The highest number that directory and shards know of: in the directory's counter, and in the shards.
---@return integer counted, integer seen
function moves.numbers(state)
  local seen = 0 -- first: no shard hears of a number before the counter has it
  for _, shard in ipairs(state.shards) do
    local own = highest(shard)
    seen = math.max(seen, own and own.n or 0)
  end
  local row = state.directory.journal:first "SELECT value FROM _collegedb_counters WHERE name = 'move'"
  return row and row.value or 0, seen
end

--- Has the next move have a number above this one.
function moves.raise(directory, number)
  directory.journal:run([[INSERT INTO _collegedb_counters VALUES ('move', ?1)
    ON CONFLICT DO UPDATE SET value = max(value, ?1)]], { number })
end

--- The mover does nothing more, whatever became of the move: after its line is gone, if it goes.
---@param number integer?
function moves.let_go(directory, number)
  if number then move_locks.release(directory, number) end
end

--- Says that the mover has stopped half way: others need not wait for its lease to run out.
function moves.give_up(directory, number)
  directory.journal:run("UPDATE _collegedb_moves SET lease = 0 WHERE number = ?", { number })
end

function moves.close(directory, number)
  directory.journal:run("DELETE FROM _collegedb_moves WHERE number = ?", { number })
end

return moves
