--- The moves that are not over, as the directory's journal and the shards tell, for who only looks: which go on, which
-- have lost their program, and what keeps those.

local core = require "collegedb.core"
local errors = require "collegedb.errors"

local moves = require "collegedb.moves"
local programs = require "collegedb.seen_programs"

local seen_moves = {}

---@class collegedb.SeenMove
---@field number integer
---@field from string the shard's name, or "number N" of one that nothing knows
---@field to string
---@field step "begun"|"copying"|"committed" its keys have left when it is committed
---@field keys integer? that it takes, where a shard says so
---@field begun integer? unix seconds
---@field lease integer seconds that its program is still believed to live; less than 0: for so long it is not
---@field live boolean its program may be at work
---@field why string? what keeps one that is not live from its end

local OPEN <const> = [[SELECT move, state, peer,
  (SELECT CAST(min(at) AS INTEGER) FROM _collegedb_own WHERE move = o.move) AS begun,
  (SELECT count(*) FROM _collegedb_own WHERE move = o.move AND instr(keyspace, char(1)) = 0) AS keys
  FROM _collegedb_open AS o]]

local function has_no_table(err) return errors.is_error(err, "SQL") and err.message:find "no such table" ~= nil end

-- What each shard says of its open moves, asked of all at once.
local function told_by_shards(state)
  local calls, told = {}, {}
  for i, shard in ipairs(state.shards) do calls[i] = { shard.inner, OPEN } end
  local answers, failed = core.together(calls, "all")
  for i, shard in ipairs(state.shards) do
    if failed[i] and not has_no_table(failed[i]) then error(failed[i], 0) end
    for _, row in ipairs(answers[i] or {}) do told[#told + 1] = { shard = shard.name, row = row } end
  end
  return told
end

local function add_told(list, by_number, each)
  local row = each.row
  local move = by_number[row.move]
  if not move then
    move = { number = row.move, lease = math.mininteger, live = false, step = "copying" }
    by_number[row.move], list[#list + 1] = move, move
  end
  local receives = row.state == "receiving"
  move.from, move.to = receives and row.peer or each.shard, receives and each.shard or row.peer
  if move.step ~= "committed" then move.step = row.state == "sent" and "committed" or "copying" end
  move.begun = math.min(move.begun or math.maxinteger, row.begun or math.maxinteger)
  move.keys = math.max(move.keys or 0, row.keys)
end

-- The needed shard of the two that is not there.
local function why_not(seen, move)
  for _, name in ipairs { move.from, move.to } do
    local known
    for _, each in ipairs(seen.shards) do
      if each.shard.name == name then known = each end
    end
    if not known then return ("it needs shard %s, which the config does not have"):format(name) end
    if not known.index then return ("it needs shard %s, which is not reached"):format(name) end
  end
  return "its program has ended, or was away for long"
end

local function journaled(state)
  local directory, list, by_number = state.directory, {}, {}
  for _, row in ipairs(moves.lines(directory)) do
    local move = { number = row.number, step = "begun", lease = row.live and row.remains or math.min(row.remains, -1),
      live = row.live,
      from = directory:name_of(row.source) or "number " .. row.source,
      to = directory:name_of(row.target) or "number " .. row.target }
    list[#list + 1], by_number[row.number] = move, move
  end
  return list, by_number
end

-- Of what shards told before the journal was read: what is not in there may have ended meanwhile, and counts only if a
-- shard still tells it.
local function confirmed(state, told, by_number)
  local unknown = false
  for _, each in ipairs(told) do unknown = unknown or not by_number[each.row.move] end
  if not unknown then return told end
  local still, list = {}, {}
  for _, each in ipairs(told_by_shards(state)) do still[each.row.move] = true end
  for _, each in ipairs(told) do
    if by_number[each.row.move] or still[each.row.move] then list[#list + 1] = each end
  end
  return list
end

-- A move that this directory does not know may be another one's, which was there before it.
local function date(move)
  if move.begun == math.maxinteger then move.begun = nil end
  if move.lease > math.mininteger then return end
  move.lease = move.begun and move.begun + moves.lease - os.time() or -1
  move.live = move.lease >= 0
end

-- Of a program that is seen to be gone. Others believe its lease all the same, since not all of them can see that.
local function left(move)
  move.live = false
  return ("no program has the directory open; its lease ends in %d s, and it can be ended then"):format(move.lease)
end

--- The moves that are not over, by number.
---@param seen collegedb.Look
---@return collegedb.SeenMove[]
function seen_moves.read(seen)
  local state = seen.state
  if not state.directory or not state.directory.keeps_journal or not state.epoch then return {} end
  local alone = programs.none(state.directory) -- before and after: a move is of a program that was there before it
  local told = told_by_shards(state)
  local list, by_number = journaled(state)
  for _, each in ipairs(confirmed(state, told, by_number)) do add_told(list, by_number, each) end
  alone = alone and programs.none(state.directory)
  for _, move in ipairs(list) do
    date(move)
    if move.live and alone then move.why = left(move)
    elseif not move.live then move.why = why_not(seen, move) end
  end
  table.sort(list, function(a, b) return a.number < b.number end)
  return list
end

return seen_moves
