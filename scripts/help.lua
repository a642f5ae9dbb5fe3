-- collegedb help: the commands, or one of them.

local command = require "collegedb.command"

return {
  summary = "List the commands, or describe one.",
  usage = "help [NAME]",
  options = function(parser)
    parser:argument("name", "A command."):args "?"
  end,
  run = function(ctx)
    if ctx.args.name then return command.main(ctx.args.name, "--help") end
    local commands, names = command.list(ctx.args.config)
    local rows = {}
    for i, name in ipairs(names) do
      -- A user's file is named, not loaded: a plain script would do its work.
      local about = commands[name] or require("collegedb.commands." .. name).summary
      rows[i] = { command = name, does = about }
    end
    ctx.print_table(rows, { "command", "does" })
    return 0
  end,
}
