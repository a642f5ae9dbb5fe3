--- What `collegedb status` shows of lua/collegedb/status.lua: lines of text, as wide as the terminal.

local terminal = require "collegedb.terminal"

local status_view = {}

local plain = terminal.plain

local NARROW <const>, WIDE <const> = 5, 24 -- cells of a bar
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
  local more = each.conflicts and each.conflicts > 0 and (", %d conflicts"):format(each.conflicts) or ""
  return { (each.integrated and "yes" or "no") .. more, style = not each.integrated and "yellow" or nil }
end

-- Where it is, and what it weighs, if that is told of any.
local function place_of(each)
  local weight = each.weight ~= 1 and ("×%g"):format(each.weight) or nil
  return table.concat({ each.region or weight, each.region and weight }, " ")
end

-- Two bars share what the other columns leave of the line.
local function cells_of(report, width)
  local taken = 57
  for _, each in ipairs(report.shards) do taken = math.max(taken, 52 + width_of(each.binding)) end
  for _, each in ipairs(report.shards) do
    if place_of(each) ~= "" then return math.max(NARROW, math.min(WIDE, (width - taken - 10) // 2)) end
  end
  return math.max(NARROW, math.min(WIDE, (width - taken) // 2))
end

-- Every column that some shard has something for.
local function shard_rows(report, cells)
  local timed = report.statistics.source == "probe"
  local rows, placed = { { "shard", "keys", "share", "bytes", "", "integrated", "state" } }, false
  local keys, bytes = most_of(report.shards, "count"), most_of(report.shards, "size")
  for _, each in ipairs(report.shards) do placed = placed or place_of(each) ~= "" end
  if timed then rows[1][8] = "latency" end
  if placed then rows[1][#rows[1] + 1] = "place" end
  for i, each in ipairs(report.shards) do
    local row = { each.binding, { each.count and ("%d"):format(each.count) or "?", right = true },
      share_cell(each.count, report.keys, keys, cells),
      { each.size and terminal.size_text(each.size) or "?", right = true }, bar(each.size, bytes, cells),
      integrated_cell(each), { each.state, style = STYLES[each.state] } }
    if timed then row[8] = latency_cell(each) end
    if placed then row[#row + 1] = place_of(each) end
    rows[i + 1] = row
  end
  return rows
end

local function add_shards(lines, report, width)
  for _, line in ipairs(columns(shard_rows(report, cells_of(report, width)))) do lines[#lines + 1] = line end
  for _, each in ipairs(report.shards) do
    if each.error then
      lines[#lines + 1] = terminal.paint(("%s: %s"):format(each.binding, plain(each.error.message)), "red")
    end
  end
end

-- --- statements ------------------------------------------------------------------------------------------

local function time_cell(seconds) return { seconds and terminal.duration_text(seconds) or "-", right = true } end

local function add_statements(lines, report)
  local sum = report.statistics
  if sum.source == "probe" then
    lines[#lines + 1] = terminal.paint(sum.enabled and "no running program shows its numbers: the latency is that of "
      .. "one small read just now" or "programs show no numbers, as the config has no statistics_dir: the latency is "
      .. "that of one small read just now", "dim")
    return
  end
  local rows = { { "statements", "reads", "p50", "p99", "writes", "p50", "p99", "errors" } }
  for _, each in ipairs(report.shards) do
    if each.read then
      rows[#rows + 1] = { each.binding, each.reads, time_cell(each.read.p50), time_cell(each.read.p99), each.writes,
        time_cell(each.write.p50), time_cell(each.write.p99),
        { ("%d"):format(each.errors), right = true, style = each.errors > 0 and "red" or nil } }
    end
  end
  for _, line in ipairs(columns(rows)) do lines[#lines + 1] = line end
  local rate = sum.cache.hit_rate
  lines[#lines + 1] = ("%d running %s, for %s%s"):format(sum.programs, sum.programs == 1 and "program" or "programs",
    terminal.duration_text(math.max(0, report.at - sum.since)), rate
    and (("; mapping cache: %.1f %% hits, %d entries"):format(rate * 100, sum.cache.entries)) or "")
end

-- --- the rest in words -------------------------------------------------------------------------------------

local function evenness(what, balance)
  if not balance then return nil end
  if balance.ratio <= 1.15 then return ("%s are even"):format(what) end
  return ("%s has %.1f times its part of the %s"):format(balance.shard, balance.ratio, what)
end

local function add_balance(lines, report)
  local parts = {}
  for _, text in ipairs { evenness("keys", report.balance.keys) or false,
    evenness("bytes", report.balance.bytes) or false } do
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
      and (", %d entries"):format(directory.entries) or "", open and (", open in %d %s"):format(open,
      open == 1 and "program" or "programs") or "")
  end
  if (directory.retiring or 0) > 0 then
    lines[#lines + 1] = terminal.paint(("keys are also looked for where %d earlier %s put them: collegedb rebalance "
      .. "ends that"):format(directory.retiring, directory.retiring == 1 and "placement" or "placements"), "yellow")
  end
end

local function add_move(lines, report, move)
  local seconds = move.begun and report.at - move.begun
  local age = not seconds and "" or seconds < 1 and ", begun just now"
    or (", begun %s ago"):format(terminal.duration_text(seconds))
  local keys = move.keys and ", " .. terminal.count_text(move.keys, "key") or ""
  local twice = move.step == "committed" and " (some may be counted on both)" or ""
  local text = ("  move %d from %s to %s%s%s%s"):format(move.number, move.from, move.to, keys, twice, age)
  if move.live then
    lines[#lines + 1] = ("%s; should its program be dead, it can be ended in %d s"):format(text, move.lease)
  else
    lines[#lines + 1] = terminal.paint(("%s: %s"):format(text, move.why), "red")
  end
end

local SHOWN <const> = 5

local function add_moves(lines, report)
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
    if i <= SHOWN then add_move(lines, report, move) end
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

--- The lines.
---@param report collegedb.Status
---@param width integer of the terminal
---@return string[]
function status_view.lines(report, width)
  local lines = {}
  add_shards(lines, report, width)
  add_problems(lines, report)
  add_statements(lines, report)
  add_balance(lines, report)
  add_directory(lines, report)
  add_moves(lines, report)
  return lines
end

return status_view
