-- collegedb status: the shards, and how keys, bytes and work are spread over them. Something that is not reached, or a
-- move that waits for its end, is exit status 3.

local config = require "collegedb.config"
local errors = require "collegedb.errors"
local status = require "collegedb.status"

local INTERVAL <const> = 2 -- seconds

local function print_lines(ctx, report)
  if ctx.args.json then return ctx.print_json(report) end
  local terminal, view = require "collegedb.terminal", require "collegedb.status_view"
  for _, line in ipairs(view.lines(report, terminal.width(), nil, not terminal.is_terminal())) do print(line) end
end

-- One after another, where that is no terminal.
local function print_next(ctx, report)
  if not ctx.args.json then print(os.date("--- %Y-%m-%d %H:%M:%S ---", report.at)) end
  print_lines(ctx, report)
end

-- Draws in place, on the terminal's other screen, which gives the first one back at the end.
local function draw(report, interval)
  local host, terminal = require "collegedb.host", require "collegedb.terminal"
  local width, height = host.columns "stdout"
  local lines = require("collegedb.status_view").lines(report, width or terminal.width(), height and height - 2)
  local last = math.max(1, (height or #lines + 2) - 2)
  if #lines > last then lines[last] = ("… and %d more lines"):format(#lines - last + 1) end
  local parts = { "\27[H" .. terminal.paint(("collegedb status, %s, every %g s; Ctrl-C ends it"):format(
    os.date("%H:%M:%S", report.at), interval), "dim") }
  for i = 1, math.min(last, #lines) do parts[i + 1] = lines[i] end
  io.write(table.concat(parts, "\27[K\n"), "\27[K\27[J")
  io.flush()
end

local function watch(read, ctx, interval, in_place)
  local core = require "collegedb.core"
  while true do
    local began, report = core.now(), read()
    if in_place then draw(report, interval) else print_next(ctx, report) end
    if not require("collegedb.host").flush() then error("standard output can not be written", 0) end
    repeat
      local left = interval * 1000 - (core.now() - began)
      if left > 0 then core.pause(math.max(1, math.min(left, 200))) end
    until left <= 0
  end
end

-- The terminal's other screen, without a cursor, and with lines that end at its edge; and back.
local ENTER <const>, LEAVE <const> = "\27[?1049h\27[?25l\27[?7l", "\27[?7h\27[?25h\27[?1049l"

-- Whatever ends it, the terminal is left as it was.
local function watch_until_stopped(read, ctx, interval)
  local in_place = not ctx.args.json and require("collegedb.terminal").is_terminal()
  if in_place then io.write(ENTER) end
  local _, err = pcall(watch, read, ctx, interval, in_place)
  if in_place then io.write(LEAVE) end
  io.flush()
  if errors.is_interrupt(err) then return 0 end
  error(err, 0)
end

local function run_once(read, ctx)
  local report = read()
  print_lines(ctx, report)
  return report.healthy and 0 or 3
end

local function seconds_of(ctx)
  local given = ctx.args.watch
  if given == nil then return nil end
  local seconds = #given == 0 and INTERVAL or tonumber(given[1])
  if seconds and seconds >= 0.1 and seconds <= 86400 then return seconds end
  ctx.usage_error(("--watch takes seconds, from 0.1 on, not %s"):format(given[1]))
end

return {
  summary = "Show the shards, their keys and sizes, the balance, and what goes on.",
  usage = "status [--watch [SECONDS]]",
  description = "It only looks: nothing is changed, and programs go on. Latencies and errors are those that running "
    .. "programs measure, if the config has a statistics_dir.",
  group = "Looking after it",
  examples = {
    { "collegedb status", "Shows shards, keys, bytes, balance, moves and latencies." },
    { "collegedb status --watch 5", "Draws it anew every 5 seconds, until Ctrl-C." },
    { "collegedb status --json", "Writes it as one line for a program." },
  },
  exits = { [3] = "a shard or the directory is not reached, a move was left half way, or there are problems" },
  auto_migrate = false,
  options = function(parser)
    parser:option("--watch", "Draw it anew every SECONDS (2).", nil, nil, "?"):argname "SECONDS"
  end,
  run = function(ctx)
    local interval = seconds_of(ctx)
    local shown = false
    local reader = status.new(config.normalize(ctx.config), function(what, of)
      if not shown then ctx.progress(0, of, what) end
    end)
    local function read()
      local report = reader:read()
      if not shown then ctx.progress() end
      shown = true -- later looks are not to flicker
      return report
    end
    local done, answer = pcall(interval and watch_until_stopped or run_once, read, ctx, interval)
    reader:close()
    if not done then error(answer, 0) end
    return answer
  end,
}
