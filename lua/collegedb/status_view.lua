--- What `collegedb status` shows of lua/collegedb/status.lua: lines of text, as wide as the terminal.

local terminal = require "collegedb.terminal"

local status_view = {}

local plain = terminal.plain

local NARROW <const>, WIDE <const> = 5, 24 -- cells of a bar
local LEAST <const> = 12 -- of a name
local STYLES <const> = { open = "green", unreachable = "red", full = "yellow", draining = "yellow",
  ["no new keys"] = "yellow" }

-- --- columns ------------------------------------------------------------------------------------

local function width_of(text) return utf8.len(text) or #text end

local function padded(text, width, right)
  local space = (" "):rep(width - width_of(text))
  return right and space .. text or text .. space
end

---@class collegedb.Cell
---@field [1] string
---@field style string?
---@field right boolean?

-- Lines of rows of cells, each a text or a collegedb.Cell; the first row are the columns' names.
local function columns(rows)
  local widths, lines = {}, {}
  for r, row in ipairs(rows) do
    for c, cell in ipairs(row) do
      if type(cell) ~= "table" then row[c] = { plain(cell), right = r > 1 and type(cell) == "number" } end
      widths[c] = math.max(widths[c] or 0, width_of(row[c][1]))
    end
  end
  for r, row in ipairs(rows) do
    local parts = {}
    for c, cell in ipairs(row) do
      local right = cell.right or r == 1 and rows[2] and rows[2][c].right
      local text = padded(cell[1], widths[c], right)
      parts[c] = cell.style and terminal.paint(text, cell.style) or text
    end
    lines[r] = table.concat(parts, "  "):gsub(" +$", "")
    if r == 1 then lines[r] = terminal.paint(lines[r], "bold") end
  end
  return lines
end

-- --- shards ------------------------------------------------------------------------------------------

-- Bars are as long as their part of the largest: so they tell as much of a hundred shards as of three.
local function bar(value, most, cells) return value and terminal.bar(value / math.max(most, 1), cells) or "" end

local function share_cell(value, total, most, cells)
  if not value then return "" end
  return ("%5.1f %%  %s"):format(value * 100 / math.max(total, 1), bar(value, most, cells))
end

local function most_of(list, field)
  local most = 0
  for _, each in ipairs(list) do most = math.max(most, each[field] or 0) end
  return most
end

local function latency_cell(each)
  return { each.latency and terminal.duration_text(each.latency / 1000) or "", right = true }
end

local function integrated_cell(each)
  if each.external_writers then return "others write" end
  local more = each.conflicts and each.conflicts > 0 and ", " .. terminal.count_text(each.conflicts, "conflict") or ""
  return { (each.integrated and "yes" or "no") .. more, style = not each.integrated and "yellow" or nil }
end

-- Where it is, and what it weighs, if that is told of any.
local function place_of(each)
  local weight = each.weight ~= 1 and ("×%g"):format(each.weight) or nil
  return table.concat({ each.region or weight, each.region and weight }, " ")
end

local COLUMNS <const>, PLACE <const> = 52, 10 -- what the others take beside names and bars
local SHORT <const> = 24 -- of a name in a sentence

-- How wide names may be: bars are as narrow as they get before a name loses its middle, and end before a number does.
local function fit(shards, width, whole)
  local longest, taken = 5, COLUMNS
  for _, each in ipairs(shards) do longest = math.max(longest, width_of(plain(each.binding))) end
  for _, each in ipairs(shards) do
    if place_of(each) ~= "" then taken = COLUMNS + PLACE end
  end
  local name = whole and longest or math.min(longest, math.max(LEAST, width - taken - 2 * NARROW))
  local cells = (width - taken - name) // 2
  return { name = name, cells = cells < NARROW and not whole and width < 72 and 0
    or math.max(NARROW, math.min(WIDE, cells)) }
end

-- A shard's name, in a sentence or in its column.
local function name_of(text, shape, width)
  return shape.whole and plain(text) or terminal.shorten(plain(text), width or SHORT)
end

-- Every column that some shard has something for.
local function shard_rows(report, shards, shape)
  local cells = shape.cells
  local timed = report.statistics.source == "probe"
  local rows, placed = { { "shard", "keys", "share", "bytes", "", "integrated", "state" } }, false
  local keys, bytes = most_of(report.shards, "count"), most_of(report.shards, "size")
  for _, each in ipairs(shards) do placed = placed or place_of(each) ~= "" end
  if timed then rows[1][8] = "latency" end
  if placed then rows[1][#rows[1] + 1] = "place" end
  for i, each in ipairs(shards) do
    local row = { name_of(each.binding, shape, shape.name),
      { each.count and ("%d"):format(each.count) or "?", right = true },
      share_cell(each.count, report.keys, keys, cells),
      { each.size and terminal.size_text(each.size) or "?", right = true }, bar(each.size, bytes, cells),
      integrated_cell(each), { each.state, style = STYLES[each.state] } }
    if timed then row[8] = latency_cell(each) end
    if placed then row[#row + 1] = place_of(each) end
    rows[i + 1] = row
  end
  return rows
end

local ERRORS <const> = 3 -- that are shown where room is short

-- Those with something to tell first, then the largest; the rest in words.
local function pick(report, room)
  if not room or #report.shards <= room then return report.shards end
  local order, place = table.move(report.shards, 1, #report.shards, 1, {}), {}
  for i, each in ipairs(order) do place[each] = i end
  local function rank(each) return each.error and 0 or each.state ~= "open" and 1 or 2 end
  table.sort(order, function(a, b)
    if rank(a) ~= rank(b) then return rank(a) < rank(b) end
    if (a.count or 0) ~= (b.count or 0) then return (a.count or 0) > (b.count or 0) end
    return place[a] < place[b]
  end)
  local states = {}
  for i = math.max(1, room), #order do states[#states + 1] = order[i].state end
  table.sort(states)
  local all = states[1] == states[#states] and "all " .. states[1] or states[1] .. " and others"
  return table.move(order, 1, math.max(0, room - 1), 1, {}), ("… and %d more, %s"):format(#states, all)
end

local function add_shards(lines, report, shards, shape)
  for _, line in ipairs(columns(shard_rows(report, shards, shape))) do lines[#lines + 1] = line end
  if shape.more then lines[#lines + 1] = terminal.paint(shape.more, "dim") end
  for i, each in ipairs(shape.failed) do
    if i <= (shape.room and ERRORS or i) then
      lines[#lines + 1] = terminal.paint(("%s: %s"):format(name_of(each.binding, shape),
        plain(each.error.message)), "red")
    end
  end
end

-- --- statements ------------------------------------------------------------------------------------------

local function time_cell(seconds) return { seconds and terminal.duration_text(seconds) or "-", right = true } end

local function add_statements(lines, report, shards, shape)
  local rows = { { "statements", "reads", "p50", "p99", "writes", "p50", "p99", "errors" } }
  for _, each in ipairs(report.statistics.source == "probe" and {} or shards) do
    if each.read then
      rows[#rows + 1] = { name_of(each.binding, shape, shape.name), each.reads, time_cell(each.read.p50),
        time_cell(each.read.p99), each.writes, time_cell(each.write.p50), time_cell(each.write.p99),
        { ("%d"):format(each.errors), right = true, style = each.errors > 0 and "red" or nil } }
    end
  end
  for _, line in ipairs(#rows > 1 and columns(rows) or {}) do lines[#lines + 1] = line end
end

local function add_sum(lines, report)
  local sum = report.statistics
  if sum.source == "probe" then
    lines[#lines + 1] = terminal.paint(sum.enabled and "no running program shows its numbers: the latency is that of "
      .. "one small read just now" or "programs show no numbers, as the config has no statistics_dir: the latency is "
      .. "that of one small read just now", "dim")
    return
  end
  local rate = sum.cache.hit_rate
  lines[#lines + 1] = ("%d running %s, for %s%s"):format(sum.programs, sum.programs == 1 and "program" or "programs",
    terminal.duration_text(math.max(0, report.at - sum.since)), rate
    and (("; mapping cache: %.1f %% hits, %d entries"):format(rate * 100, sum.cache.entries)) or "")
end

-- --- the rest in words -------------------------------------------------------------------------------------

local function evenness(what, balance, shape)
  if not balance then return nil end
  if balance.ratio <= 1.15 then return ("%s are even"):format(what) end
  return ("%s has %.1f times its part of the %s"):format(name_of(balance.shard, shape), balance.ratio, what)
end

local function add_balance(lines, report, shape)
  local parts = {}
  for _, text in ipairs { evenness("keys", report.balance.keys, shape) or false,
    evenness("bytes", report.balance.bytes, shape) or false } do
    parts[#parts + 1] = text or nil
  end
  if #report.shards > 1 and #parts > 0 then lines[#lines + 1] = "balance: " .. table.concat(parts, "; ") end
end

local function add_directory(lines, report)
  local directory = report.directory
  if directory.error then
    lines[#lines + 1] = terminal.paint("directory: " .. plain(directory.error.message), "red")
  elseif directory.new then
    lines[#lines + 1] = "directory: none yet; the first program that opens the database makes it"
  else
    local open = report.programs.count
    lines[#lines + 1] = ("directory: epoch %d%s%s"):format(directory.epoch, directory.entries
      and ", " .. terminal.count_text(directory.entries, "entry", "entries") or "",
      open and ", open in " .. terminal.count_text(open, "program") or "")
  end
  local earlier = directory.retiring == 1 and "placement" or "placements"
  if (directory.retiring or 0) > 0 and directory.stays then
    lines[#lines + 1] = ("keys without an entry are looked for where %d earlier %s put them; that stays so under this "
      .. "strategy"):format(directory.retiring, earlier)
  elseif (directory.retiring or 0) > 0 then
    lines[#lines + 1] = terminal.paint(("keys are also looked for where %d earlier %s put them: collegedb rebalance "
      .. "ends that"):format(directory.retiring, earlier), "yellow")
  end
end

local function add_move(lines, report, move, shape)
  local seconds = move.begun and report.at - move.begun
  local age = not seconds and "" or seconds < 1 and ", begun just now"
    or (", begun %s ago"):format(terminal.duration_text(seconds))
  local keys = move.keys and ", " .. terminal.count_text(move.keys, "key") or ""
  local twice = move.step == "committed" and " (some may be counted on both)" or ""
  local text = ("  move %d from %s to %s%s%s%s"):format(move.number, name_of(move.from, shape),
    name_of(move.to, shape), keys, twice, age)
  if move.live then
    lines[#lines + 1] = ("%s; should its program be dead, it can be ended in %d s"):format(text, move.lease)
  else
    lines[#lines + 1] = terminal.paint(("%s: %s"):format(text, move.why), "red")
  end
end

local SHOWN <const> = 5

local function add_moves(lines, report, shape)
  local moves = report.moves
  if moves.live > 0 then
    lines[#lines + 1] = ("moves: %d under way"):format(moves.live)
  elseif moves.waiting == 0 then
    lines[#lines + 1] = "moves: none"
  end
  if moves.waiting > 0 then
    lines[#lines + 1] = terminal.paint(("recovery needed: %d %s left half way; collegedb doctor --repair, or the next "
      .. "program that opens the database, ends %s"):format(moves.waiting, moves.waiting == 1 and "move was"
      or "moves were", moves.waiting == 1 and "it" or "them"), "red")
  end
  for i, move in ipairs(moves.list) do
    if i <= SHOWN then add_move(lines, report, move, shape) end
  end
  local more = moves.live + moves.waiting - SHOWN
  if more > 0 then lines[#lines + 1] = ("  and %d more"):format(more) end
end

local function add_problems(lines, report)
  for i, each in ipairs(report.problems) do
    if i <= SHOWN then lines[#lines + 1] = terminal.paint(plain(("%s: %s"):format(each.about, each.message)), "red") end
  end
  local more = #report.problems - SHOWN
  if more > 0 then lines[#lines + 1] = ("and %d more; collegedb doctor has all"):format(more) end
end

-- How many rows of shards there is room for, beside what fails, a table's head, and another table of statements.
local function room_of(report, shape, height, rest)
  if not height then return nil end
  local left = height - rest - 1 - math.min(#shape.failed, ERRORS)
  return math.max(1, report.statistics.source == "probe" and left or (left - 1) // 2)
end

--- The lines. What is told of all shards together is always among them; where not all of the shards have room, those
-- that are in order and small are told in one line.
---@param report collegedb.Status
---@param width integer of the terminal
---@param height integer? lines that there is room for
---@param whole boolean? names are as long as they are
---@return string[]
function status_view.lines(report, width, height, whole)
  local shape, rest, lines = { whole = whole, failed = {} }, {}, {}
  for _, each in ipairs(report.shards) do
    if each.error then shape.failed[#shape.failed + 1] = each end
  end
  add_problems(rest, report)
  add_sum(rest, report)
  add_balance(rest, report, shape)
  add_directory(rest, report)
  add_moves(rest, report, shape)
  shape.room = room_of(report, shape, height, #rest)
  local shown, more = pick(report, shape.room)
  local fitted = fit(shown, width, whole)
  shape.name, shape.cells, shape.more = fitted.name, fitted.cells, more
  add_shards(lines, report, shown, shape)
  add_statements(lines, report, shown, shape)
  return table.move(rest, 1, #rest, #lines + 1, lines)
end

return status_view
