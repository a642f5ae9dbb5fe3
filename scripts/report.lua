-- collegedb report: the whole database on one HTML page. What needs somebody's attention is exit status 3.

local config = require "collegedb.config"
local page = require "collegedb.report_page"
local report = require "collegedb.report"
local report_file = require "collegedb.report_file"
local terminal = require "collegedb.terminal"

local function check_arguments(ctx)
  local args = ctx.args
  if not args.output and not args.json then
    ctx.usage_error "-o FILE says where to write the page, or --json that its data are to be printed instead"
  elseif args.output == "-" and args.json then
    ctx.usage_error "-o - and --json would both print: name a file"
  elseif args.output == "" then
    ctx.usage_error "-o takes a file, or - for standard output"
  elseif args.limit and not (args.limit >= 0 and args.limit < math.huge) then
    ctx.usage_error "--limit takes seconds, 0 for as long as it takes"
  end
end

local SUMMARIES <const> = { good = "all is well", attention = "there are things to look at",
  bad = "something is wrong" }

local function tell(args, data)
  if args.json then return end
  print(("wrote %s: %s"):format(args.output, SUMMARIES[data.health.state]))
  for _, each in ipairs(data.health.findings) do print("  " .. terminal.plain(each.text)) end
end

return {
  summary = "Write a report of the whole database as one HTML page.",
  description = "The page loads nothing and runs no script, so that it can be mailed or kept.",
  usage = "report -o FILE [--no-verify] [--limit SECONDS]",
  group = "Looking after it",
  examples = {
    { "collegedb report -o report.html", "Write the page, with what verify finds." },
    { "collegedb report -o report.html --no-verify", "Faster: rows are counted, and not compared." },
    { "collegedb report --json", "The same data as JSON." },
  },
  exits = { [3] = "written, and something in it needs attention" },
  resume = true,
  options = function(parser)
    parser:option("-o --output", "Where to write the page; - is standard output."):argname "FILE"
    parser:flag("--no-verify", "Do not compare rows with where their keys are looked for.")
    parser:option("--limit", "Look at rows so long at most, once to verify and once to plan (60; 0 has no limit).")
      :argname("SECONDS"):convert(tonumber)
  end,
  run = function(ctx)
    local args = ctx.args
    check_arguments(ctx)
    local function check_file()
      if args.output and args.output ~= "-" then
        report_file.check(args.output, config.normalize(ctx.config), args.config)
      end
    end
    check_file()
    local data = report.collect(ctx.config, { config = args.config, verify = not args.no_verify, limit = args.limit,
      on_progress = ctx.progress })
    ctx.progress()
    if args.json then ctx.print_json(data) end
    if args.output == "-" then
      io.write(page.html(data))
    elseif args.output then
      check_file() -- again: a shard's file may be new
      report_file.write(args.output, page.html(data))
      tell(args, data)
    end
    return data.health.state == "good" and 0 or 3
  end,
}
