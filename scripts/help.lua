-- collegedb help: the commands, or one of them.

local command = require "collegedb.command"
local command_file = require "collegedb.command_file"
local command_help = require "collegedb.command_help"
local terminal = require "collegedb.terminal"
local text_table = require "collegedb.text_table"

local YOURS <const> = "Yours"

-- One table, so that all columns stand below one another, with a title above each group.
local function print_list(rows)
  local columns = { "command", "does" }
  if #rows > 0 and rows[#rows].file then columns[3] = "file" end
  local i, group = 0, nil
  for line in text_table.format(rows, columns):gmatch "[^\n]+" do
    local title = i > 0 and (rows[i].group or YOURS)
    if i > 0 and title ~= group then print("\n" .. terminal.paint(title .. ":", "bold")) end
    group = title
    print(line)
    i = i + 1
  end
  print "\ncollegedb help COMMAND tells more of one."
end

local function print_script(ctx, name, path, file)
  if ctx.args.json then return ctx.print_json(command_help.describe_script(name, path, file.summary)) end
  print(("%s: a script without options of its own, %s"):format(name, path))
  if file.summary ~= "" then print(file.summary) end
end

return {
  summary = "List the commands, or describe one.",
  usage = "help [COMMAND] [--man]",
  group = "The program",
  examples = {
    { "collegedb help", "The commands, in groups." },
    { "collegedb help integrate", "The options of one, with examples." },
    { "collegedb help --man >collegedb.1", "The manual page, for man -l." },
  },
  options = function(parser)
    parser:argument("command", "A command."):args "?"
    parser:flag("--man", "Write the manual page.")
  end,
  run = function(ctx)
    if ctx.args.man then
      io.write(command_help.man())
      return 0
    end
    local commands, names = command.list(ctx.args.config)
    local name = ctx.args.command
    local path = name and commands[name]
    local file = path and command_file.look(path)
    if file and file.plain then
      print_script(ctx, name, path, file)
      return 0
    end
    if name and ctx.args.json and path ~= nil then
      local cmd = command.load(name, { "--config", ctx.args.config })
      ctx.print_json(command_help.describe(name, cmd or {}, path or nil))
      return 0
    end
    if name then return command.main(name, "--config", ctx.args.config, "--help", ctx.args.json and "--json" or nil) end
    local rows = command_help.rows(commands, names)
    if ctx.args.json then ctx.print_json(rows) else print_list(rows) end
    return 0
  end,
}
