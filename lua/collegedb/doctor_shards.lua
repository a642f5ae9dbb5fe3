--- The doctor's look at each shard that was reached: what is still to be taken over, columns without an index, foreign
-- keys, tables that can not be routed, and what moves have left.

local existing_keys = require "collegedb.existing_keys"
local fence = require "collegedb.fence"
local identity = require "collegedb.identity"
local inspect = require "collegedb.inspect"
local leftovers = require "collegedb.verify_leftovers"
local look = require "collegedb.look"
local quote = require "collegedb.quote"
local reports = require "collegedb.verify_report"
local terminal = require "collegedb.terminal"

local doctor_shards = {}

-- --- indexes -------------------------------------------------------------------------------

-- Columns by which rows are looked for, each once: { table, column }.
local function looked_for(state, index)
  local list, seen = {}, {}
  local function add(name, column, found)
    local id = quote.fold(name) .. "\0" .. quote.fold(column)
    if not seen[id] then list[#list + 1] = found or { name = name, key_column = column, kind = "text" } end
    seen[id] = true
  end
  for _, each in pairs(state.catalog.tables) do
    local here = each.shards[index]
    if here and not here.unique then add(here.name, here.key_column, here) end
    if here and here.group then add(here.name, here.group.column, here.group.follows) end
  end
  table.sort(list, function(a, b) return a.name .. "\0" .. a.key_column < b.name .. "\0" .. b.key_column end)
  return list
end

local function check_indexes(add, state, index)
  local shard = state.shards[index]
  for _, found in ipairs(looked_for(state, index)) do
    if existing_keys.is_scanned(shard.inner, found) then
      local name, column = found.name, found.key_column
      add(shard.name, "fault", ("column %s of table %s has no index: every look reads the whole table"):format(column,
        name), ("CREATE INDEX %s ON %s (%s)"):format(quote.name(name .. "_" .. column), quote.name(name),
        quote.name(column)))
    end
  end
end

-- --- integration ---------------------------------------------------------------------------

local function check_integration(add, state, index)
  local shard = state.shards[index]
  local job = state.directory.keeps_journal and state.directory.journal:first(
    "SELECT 1 AS yes FROM _collegedb_jobs WHERE workflow = 'integrate' AND subject = ?", { shard.id })
  if shard.external_writers then
    add(shard.name, "note", "others write it: it is asked for every key that has no entry")
  elseif state.epoch.awaits[index] then
    local what = "its rows are not taken over yet: it is asked for every key that has no entry"
    add(shard.name, "fault", job and "its integration was not ended" or what,
      ("collegedb integrate %s%s"):format(shard.name, job and " --resume" or ""))
  elseif (state.epoch.conflicts[index] or 0) > 0 then
    add(shard.name, "note", ("its integration met %s"):format(terminal.count_text(state.epoch.conflicts[index],
      "conflict")),
      "collegedb verify names them")
  end
end

local function check_drained(add, state, index)
  local name = state.shards[index].name
  if state.epoch.sealed[index] then
    add(name, "note", "it was emptied, and takes no rows", "take it out of the config when no program needs it")
  elseif state.epoch.drained[index] then
    add(name, "note", "it gets no new keys: it is being emptied, or added", ("collegedb drain %s ends the one, "
      .. "collegedb rebalance the other"):format(name))
  end
end

--- Rows that would not be found, and files under another's name. Not while moves are on their way, which this would
-- have to follow.
---@return boolean any
local function check_identity(add, seen)
  local strangers, err = look.tried(identity.check, seen.state)
  if err then
    add(err.shard or "config", "fault", err.message, "give each name in the config its own file")
    return false
  end
  for _, index in ipairs(strangers) do
    local name = seen.state.shards[index].name
    add(name, "note", ("%s has rows that the directory does not know of"):format(name), ("the next program that opens "
      .. "the database looks for them; collegedb integrate %s takes them over"):format(name))
  end
  return #strangers > 0
end

-- --- what is left over ------------------------------------------------------------------------

local function advice_of(each) return each.advice == leftovers.REPAIR and "collegedb doctor --repair" or each.advice end

-- Keys of a move that is not over: one line for each move, and none where the directory's journal tells of it.
local function add_held(add, state, index, held)
  local numbers = {}
  for number in pairs(held) do numbers[#numbers + 1] = number end
  table.sort(numbers)
  for _, number in ipairs(state.directory.keeps_journal and {} or numbers) do
    local each = held[number]
    add(state.shards[index].name, "fault", ("%s left over by move %d, which is not over"):format(terminal.count_text(
      each.count, "key was", "keys were"), number), advice_of(each.first))
  end
end

local function check_leftovers(add, state, index)
  local run, held = { state = state, report = reports.new() }, {}
  leftovers.check(run, index)
  for _, each in ipairs(run.report.findings) do
    local of_move = each.kind == "leftover" and each.key ~= nil and each.move
    if of_move then
      held[of_move] = held[of_move] or { count = 0, first = each }
      held[of_move].count = held[of_move].count + 1
    else
      local about = each.key ~= nil and tostring(each.key) .. " " or each.table and each.table .. ": " or ""
      add(state.shards[index].name, "fault", about .. each.what, advice_of(each))
    end
  end
  add_held(add, state, index, held)
end

-- Where keys have gone is forgotten by whoever opens the database.
local function check_tombs(add, state, index)
  local shard, config = state.shards[index], state.config
  if shard.external_writers or #state.epoch.placements > 1 then return end
  local kept = math.ceil(math.max(config.forward_retention, config.mapping_cache_ttl))
  local row = fence.reading(shard.inner.first, shard.inner, [[SELECT count(*) AS n FROM _collegedb_own
    WHERE state = 'tomb' AND at < ?]], { os.time() - kept })
  if row and row.n > 0 then
    local form = "it remembers of %s where they went, for longer than forward_retention (%g s)"
    add(shard.name, "note", form:format(terminal.count_text(row.n, "key"), config.forward_retention),
      "the next program that opens the database forgets them")
  end
end

-- --- the whole -----------------------------------------------------------------------------------

local function check_foreign_keys(add, shard)
  local row = shard.inner:first([[SELECT count(*) AS n FROM sqlite_schema AS s, pragma_foreign_key_list(s.name)
    WHERE s.type = 'table']] .. inspect.without_d1s(shard.inner, "s.name"))
  if row.n == 0 then return end
  local on = shard.inner:first("PRAGMA foreign_keys").foreign_keys == 1
  add(shard.name, "note", on and "foreign keys are enforced" or "foreign keys are not enforced",
    not on and ("PRAGMA foreign_keys = ON by db:shard(%q):exec, in each program"):format(shard.name) or nil)
end

local function check_unkeyed(add, state)
  local names = {}
  for name, each in pairs(state.catalog.unkeyed) do
    if not each.is_view and not each.on_purpose then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local each = state.catalog.unkeyed[name]
    add("config", "note", ("table %s can not be routed: %s"):format(each.name, each.reason),
      "leave it, or say in the rules by which column")
  end
end

local NAMED <const> = 3 -- tables

-- Tables that only other shards have. It may be meant so, where each shard has its own kinds of keys.
local function check_tables(add, state, index)
  local missing, shard = {}, state.shards[index]
  if not shard.allocate or not state.epoch or state.epoch.drained[index] then return end
  for _, each in pairs(state.catalog.tables) do
    if not each.shards[index] then missing[#missing + 1] = each.name end
  end
  if #missing == 0 then return end
  table.sort(missing)
  local names = table.concat(missing, ", ", 1, math.min(NAMED, #missing))
  if #missing > NAMED then names = ("%s and %d more"):format(names, #missing - NAMED) end
  add(shard.name, "note", ("it lacks tables of other shards, %s: keys that belong there can not be inserted"):format(
    names), ("db:create_schema(%q) gives it the tables of the others; if it had them, put it back from a backup")
    :format(shard.name))
end

local function check_shard(adder, state, index)
  local shard = state.shards[index]
  if state.epoch and state.epoch.integrated[index] ~= nil then
    check_integration(adder "integration", state, index)
    check_drained(adder "shards", state, index)
    check_leftovers(adder "moves", state, index)
    check_tombs(adder "moves", state, index)
  elseif state.epoch then
    adder "integration" (shard.name, "note", "the directory does not know it yet",
      "the next program that opens the database takes it up")
  end
  check_indexes(adder "indexes", state, index)
  check_foreign_keys(adder "shards", shard)
  check_tables(adder "shards", state, index)
end

--- Looks at the shards that were reached.
---@param adder fun(topic: string): fun(about: string, state: string, what: string, mend: string?)
---@param seen collegedb.Look
---@param moving boolean? moves were left half way
---@return boolean waits an opening of the database would change something
function doctor_shards.check(adder, seen, moving)
  check_unkeyed(adder "shards", seen.state)
  local waits = seen:is_whole() and not moving and check_identity(adder "integration", seen)
  for index, shard in ipairs(seen.state.shards) do
    local _, err = look.tried(check_shard, adder, seen.state, index)
    if err then
      adder "shards" (shard.name, "fault", err.message, "run collegedb doctor again; if it stays, it says why")
    end
  end
  return waits
end

return doctor_shards
