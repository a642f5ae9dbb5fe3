-- collegedb help: the commands, or one of them.

local command = require "collegedb.command"
local command_file = require "collegedb.command_file"

-- A user's file is looked at, not loaded: a plain script would do its work.
local function row_of(name, path)
  if not path then return { command = name, does = require("collegedb.commands." .. name).summary } end
  local file = command_file.look(path)
  return { command = name, does = file.problem and "broken: " .. file.problem or file.summary, file = path }
end

return {
  summary = "List the commands, or describe one.",
  usage = "help [NAME]",
  options = function(parser)
    parser:argument("name", "A command."):args "?"
  end,
  run = function(ctx)
    local commands, names = command.list(ctx.args.config)
    local path = ctx.args.name and commands[ctx.args.name]
    local file = path and command_file.look(path)
    if file and file.plain then
      print(("%s: a script without options of its own, %s"):format(ctx.args.name, path))
      if file.summary ~= "" then print(file.summary) end
      return 0
    end
    if ctx.args.name then return command.main(ctx.args.name, "--config", ctx.args.config, "--help") end
    local rows, columns = {}, { "command", "does" }
    for i, name in ipairs(names) do
      rows[i] = row_of(name, commands[name])
      if commands[name] then columns[3] = "file" end
    end
    ctx.print_table(rows, columns)
    return 0
  end,
}
