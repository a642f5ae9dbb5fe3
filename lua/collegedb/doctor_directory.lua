--- The doctor's look at the directory: does it know the shards that the config has, what moves under way wait for, and
-- who keeps an earlier placement from ending.

local look = require "collegedb.look"
local moves = require "collegedb.moves"
local programs = require "collegedb.seen_programs"
local seen_moves = require "collegedb.seen_moves"
local problems = require "collegedb.seen_problems"
local terminal = require "collegedb.terminal"

local doctor_directory = {}

local function check_entries(add, seen)
  local state, total = seen.state, 0
  local counts, err = look.tried(state.directory.counts, state.directory)
  if err then
    return add("directory", "fault", err.message, "see that it answers; entries are in the coordinator's other objects")
  end
  for id, n in pairs(counts) do
    total = total + n
    local name = state.directory:name_of(id)
    if not (name and problems.is_named(seen, name)) then
      add("directory", "fault", ("%s shard %s, which the config does not have"):format(terminal.count_text(n,
        "entry names", "entries name"), name or id), "put the shard back into the config")
    end
  end
  add("directory", "ok", ("epoch %d, %s"):format(state.epoch.number, terminal.count_text(total,
    "entry", "entries")))
end

-- --- placements ---------------------------------------------------------------------------

local function check_retiring(add, state, users)
  if #state.epoch.placements < 2 then return end
  if state.epoch.placements[1].claims then
    return add("directory", "ok", "keys without an entry are looked for where the strategy before this one placed them")
  end
  local busy, oldest = {}, state.epoch.placement
  for _, each in ipairs(users or {}) do
    if not each.placement or each.placement < oldest then busy[#busy + 1] = each end
  end
  add("directory", "note", "keys are also looked for where earlier shards or weights placed them", #busy == 0
    and "collegedb rebalance moves them home, and ends that" or ("collegedb rebalance moves them home; that ends when "
    .. "no program works with the earlier ones any more: %s"):format(programs.names(busy)))
end

local function check_placement(add, seen, settings)
  if not look.differs(seen) then return false end
  add("directory", "note", ("shards, weights or strategy of the config (%s) are not those that keys are placed "
    .. "by now"):format(terminal.count_text(#settings.shards, "shard")), "the next program that opens the database "
    .. "takes them into use; then collegedb rebalance moves what has another home")
  return true
end

local function check_programs(add, users)
  if not users or #users == 0 then return end
  add("directory", "ok", ("%d %s open: %s"):format(#users, #users == 1 and "program has it" or "programs have it",
    programs.names(users)))
end

-- --- moves -----------------------------------------------------------------------------------

local function advice_for(move, obstacle)
  if obstacle then return "mend what it says, such as a row that is in the way; then collegedb doctor --repair" end
  if move.why:find "^it needs" then
    return "name that shard in the config, and see that it is there; then collegedb doctor --repair"
  end
  if move.lease >= 0 then return "by then: collegedb doctor --repair, or the next program that opens the database" end
  return "collegedb doctor --repair; the next program that opens the database does it too"
end

---@param obstacle string? what was in the way when its end was tried
local function check_move(add, move, obstacle)
  local left = move.step == "committed" and "when its keys had left, and not all was cleared" or "half way"
  local keys = move.keys and ", with " .. terminal.count_text(move.keys, "key") or ""
  add("directory", "fault", ("move %d from %s to %s was left %s%s: %s"):format(move.number, move.from, move.to, left,
    keys, obstacle or move.why), advice_for(move, obstacle))
end

---@return boolean any moves that somebody must end
local function check_moves(add, seen, obstacles)
  local live, longest, dead = 0, 0, false
  for _, move in ipairs(seen_moves.read(seen)) do
    if move.live then
      live, longest = live + 1, math.max(longest, move.lease + 1)
    else
      check_move(add, move, obstacles[move.number])
      dead = true
    end
  end
  if live > 0 then
    local form = live == 1 and "1 move is under way; should its program be dead, it can be ended in %d s"
      or live .. " moves are under way; should their programs be dead, they can be ended in %d s"
    add("directory", "note", form:format(longest))
  end
  return dead
end

local function check_numbers(add, state)
  local counted, seen = moves.numbers(state)
  if counted < seen then
    add("directory", "fault", ("it counts %s, and the shards %d: it is older than they are"):format(
      terminal.count_text(counted, "move"), seen), "collegedb doctor --repair")
  end
  return counted < seen
end

--- Looks at a directory that was reached.
---@param adder fun(topic: string): fun(about: string, state: string, what: string, mend: string?)
---@param settings table a normalized config
---@param seen collegedb.Look with an epoch
---@param obstacles table<integer, string>? what is in the way of moves, where their end was tried
---@return boolean waits an opening of the database would change something
function doctor_directory.check(adder, settings, seen, obstacles)
  local state, add = seen.state, adder "directory"
  check_entries(add, seen)
  local users = programs.read(state.directory)
  check_programs(add, users)
  check_retiring(add, state, users)
  local waits = check_placement(add, seen, settings)
  if state.directory.keeps_journal then
    waits = check_numbers(adder "moves", state) or waits
    waits = check_moves(adder "moves", seen, obstacles or {}) or waits
  end
  return waits
end

return doctor_directory
