--- What runs `collegedb NAME …`: finds the command's file, parses its arguments with lua-argparse, gives it a context,
-- and turns the outcome into an exit status: 0 done, 1 failed, 2 wrong usage, 3 done with conflicts, 130 interrupted.
--
-- A command is a file that returns { summary, usage, options(parser), run(ctx) }; a file that returns nothing has
-- done its work by then. It is looked for in the config's script_dirs, in the folders of COLLEGEDB_PATH (DIR/NAME.lua,
-- DIR/commands/NAME.lua and DIR/scripts/NAME.lua), and then among the commands that came with CollegeDB.

local aside = require "collegedb.aside"
local command_line = require "collegedb.command_line"
local host = require "collegedb.host"
local json = require "collegedb.json"
local progress = require "collegedb.command_progress"
local terminal = require "collegedb.terminal"
local text_table = require "collegedb.text_table"

local command = {}

local shipped_prefix <const> = "collegedb.commands."

---@class collegedb.Command
---@field summary string one line for `collegedb help`
---@field usage? string the arguments, as a user would write them
---@field description? string for --help, after the summary
---@field group? string the title under which `collegedb help` lists it
---@field examples? { [1]: string, [2]: string }[] command lines, and what they do
---@field exits? table<integer, string> exit statuses of its own, and what they mean
---@field auto_migrate? boolean false: opening the database takes no existing data over
---@field resume? true|fun(ctx: collegedb.CommandContext): string[]? what goes on after Ctrl-C: the same words, or these
---@field options? fun(parser: table) adds arguments to an argparse parser
---@field run fun(ctx: collegedb.CommandContext): integer? returns the exit status, 0 if nothing

---@class collegedb.CommandContext
---@field name string
---@field args table what argparse made of the arguments
---@field config table the config, loaded at first use
---@field db table the router on that config, opened at first use, closed after run
---@field progress fun(done: integer?, total: integer?, label: string?) a line on a terminal; no arguments end it
---@field print_table fun(rows: table[], columns: string[]?) aligned columns, or JSON with --json
---@field print_json fun(value: any) one line of JSON
---@field usage_error fun(message: string) ends the command with exit status 2; does not return

-- Errors that are an answer of their own, not a failure inside a command: { status = …, message = …, told = … }.
local exit_meta = { __tostring = function(e) return e.message end }

local function exit_with(status, message, told)
  error(setmetatable({ status = status, message = message, told = told }, exit_meta), 0)
end

local plain = terminal.plain

local line <const> = progress.new(function(text) io.stderr:write(text) end)

local function misused(...) require "collegedb.errors".raise("USAGE", nil, ...) end

-- The same on a terminal and elsewhere: what is wrong must not show only where somebody looks.
local function check_progress(done, total, label)
  local fits = (done == nil or type(done) == "number") and (total == nil or type(total) == "number")
    and (label == nil or type(label) == "string")
  if not fits then misused "ctx.progress takes (done, total, label): two numbers and a string, or nothing to end it" end
end

local function check_rows(rows)
  if type(rows) ~= "table" then misused("ctx.print_table takes an array of rows, not a %s", type(rows)) end
  for i, row in ipairs(rows) do
    if type(row) ~= "table" then misused("ctx.print_table takes an array of rows; number %d is a %s", i, type(row)) end
  end
end

local function complain(name, message)
  io.stderr:write("collegedb ", name and plain(name) .. ": " or "", plain(message), "\n")
end

-- Instructions: a config that loops without end is stopped, not waited for.
local config_limit <const> = 100000000

local function check_config_file(path)
  local errors, core = require "collegedb.errors", require "collegedb.core"
  if host.exists(path) then return end
  local facts, reason = core.file_facts(path)
  if facts then
    errors.raise("CONFIG", nil, "the config file %s belongs to %s, and this user may not read it", path, facts.owner)
  elseif reason ~= "No such file or directory" then
    errors.raise("CONFIG", nil, "the config file %s can not be read: %s", path, reason)
  end
  errors.raise("CONFIG", nil, "there is no config file %s: `collegedb init` writes one, --config FILE names another",
    path)
end

-- A config that ends the program would end the command without a word, and as if all were well.
local function without_exit(f, ...)
  local exit = os.exit
  os.exit = function() error("a config can not end the program: os.exit is not available in it", 2) end -- luacheck: ignore
  local done, answer = pcall(f, ...)
  os.exit = exit -- luacheck: ignore
  if not done then error(answer, 0) end
  return answer
end

local function read_config(path)
  local errors, loader = require "collegedb.errors", require "collegedb.loader"
  check_config_file(path)
  -- What it prints is no part of what a command prints.
  local config = aside.call(io.stderr, without_exit, loader.run_file, nil, path, config_limit)
  if type(config) ~= "table" then
    errors.raise("CONFIG", nil, "%s must return a table, and returned a %s", path, type(config))
  end
  return config
end

local configs = {}

---Runs a config file, once. Raises SCRIPT with file and line where it fails, CONFIG where it returns no table.
---@param path string
---@return table
function command.load_config(path)
  configs[path] = configs[path] or read_config(path)
  return configs[path]
end

---The folders of users' commands, first to last, and the error if the config could not say its part.
local function script_folders(config_path, read)
  local folders, problem = {}, nil
  if host.exists(config_path) then
    local ok, config = pcall(read or command.load_config, config_path)
    if not ok and require("collegedb.errors").is_interrupt(config) then error(config, 0) end
    if not ok then
      problem = config
    elseif type(config.script_dirs) == "table" then
      for _, folder in ipairs(config.script_dirs) do folders[#folders + 1] = folder end
    end
  end
  for folder in (os.getenv "COLLEGEDB_PATH" or ""):gmatch "[^;]+" do folders[#folders + 1] = folder end
  return folders, problem
end

-- Where in a folder of scripts commands are.
local places <const> = { "/", "/commands/", "/scripts/" }

---The file of a user's command, or nil.
local function find_file(name, folders)
  for _, folder in ipairs(folders) do
    for _, inner in ipairs(places) do
      local path = folder .. inner .. name .. ".lua"
      if host.exists(path) then return path end
    end
  end
end

local function is_shipped(name)
  local module = shipped_prefix .. name
  for _, embedded in ipairs(host.embedded(module)) do
    if embedded == module then return true end
  end
  return false
end

---Every known command: name → path of a user's file, or false for a shipped one.
---@param config_path? string
---@param read? fun(path: string): table instead of command.load_config
---@return table<string, string|false> commands, string[] names sorted
function command.list(config_path, read)
  local commands, names = {}, {}
  local own = (config_path or command_line.default_config):gsub("^%./", "")
  local function is_config(path) return path:gsub("^%./", "") == own end
  local function add(name, path)
    if commands[name] == nil then
      commands[name] = path
      names[#names + 1] = name
    end
  end
  for _, folder in ipairs((script_folders(config_path or command_line.default_config, read))) do
    for _, inner in ipairs(places) do
      for _, file in ipairs(host.list(folder .. inner) or {}) do
        local name = file:match "^([%w_-]+)%.lua$"
        if name and not is_config(folder .. inner .. file) then add(name, folder .. inner .. file) end
      end
    end
  end
  for _, module in ipairs(host.embedded(shipped_prefix)) do add(module:sub(#shipped_prefix + 1), false) end
  table.sort(names)
  return commands, names
end

---The command's table, or nil if it is a plain script, which has run by then.
---@param name string
---@param arguments string[]
---@return collegedb.Command?
function command.load(name, arguments)
  -- Each press of Tab runs it, and a shell reads what it prints: no file of a user's comes before it.
  if name == "completion" then return require(shipped_prefix .. name) end
  local folders, problem = script_folders(command_line.config_path(arguments))
  local valid = name:find "^[%w_-]+$"
  local path = valid and find_file(name, folders)
  if not path then
    if valid and is_shipped(name) then return require(shipped_prefix .. name) end
    local _, names = command.list(command_line.config_path(arguments))
    local meant = require("collegedb.near_names").closest(name, names)
    local message = ("there is no command '%s'; %sthere are: %s"):format(name,
      meant and ("did you mean %s? "):format(meant) or "", table.concat(names, ", "))
    if host.exists(name) then message = message .. (" (to run the file, write ./%s)"):format(name) end
    if problem then message = message .. ("; the config could not be asked: %s"):format(plain(problem)) end
    exit_with(2, message)
  end
  local chunk, message = loadfile(path, "t")
  if not chunk then error(message, 0) end
  arg = table.move(arguments, 1, #arguments, 1, { [0] = path, [-1] = arg and arg[-1] }) -- luacheck: ignore
  local result = chunk(table.unpack(arguments))
  if type(result) ~= "table" then return nil end
  if result.run == nil and (result.summary or result.usage or result.options) then
    error(("%s returned a command without a function run"):format(path), 0)
  end
  return result.run ~= nil and result or nil
end

---@return table args
local function parse(name, cmd, arguments)
  local parser = command_line.parser(name, cmd)
  function parser:error(message)
    io.stderr:write(("collegedb %s: %s\n%s\n"):format(name, message, self:get_usage()))
    exit_with(2, message, true)
  end
  return parser:parse(arguments)
end

---@return collegedb.CommandContext
local function new_context(name, args, cmd)
  local ctx = { name = name, args = args }
  local lazy = {
    config = function() return command.load_config(args.config) end,
    db = function()
      if args.dry_run then return require("collegedb.existing").open(ctx.config, true) end -- makes no file
      local config = {}
      for field, value in pairs(ctx.config) do config[field] = value end
      if cmd.auto_migrate ~= nil then config.auto_migrate = cmd.auto_migrate end
      return require("collegedb").open(config)
    end,
  }
  local is_seen = terminal.is_terminal "stderr"
  function ctx.progress(done, total, label)
    check_progress(done, total, label)
    if not done then return line:clear() end
    if is_seen then line:show(done, total, label and plain(label)) end
  end
  function ctx.print_json(value)
    io.write(json.encode(value), "\n")
  end
  function ctx.print_table(rows, columns)
    check_rows(rows)
    if args.json then
      ctx.print_json(rows)
    else
      local head, rest = text_table.format(rows, columns):match "^([^\n]*)(.*)$"
      io.write(terminal.paint(head, "bold"), rest)
    end
  end
  function ctx.usage_error(message) exit_with(2, message) end
  return setmetatable(ctx, {
    __index = function(_, field)
      if not lazy[field] then return nil end
      local value = lazy[field]()
      rawset(ctx, field, value)
      return value
    end,
  })
end

---@return integer status
local function run(cmd, ctx)
  if type(cmd.run) ~= "function" then error(("the command's run is a %s, no function"):format(type(cmd.run)), 0) end
  local ok, status = pcall(cmd.run, ctx)
  local db = rawget(ctx, "db")
  if db then
    local closed, problem = pcall(db.close, db)
    if ok and not closed then error(problem, 0) end
  end
  if not ok then error(status, 0) end
  if status == nil then return 0 end
  if math.type(status) ~= "integer" or status < 0 or status > 255 then
    error(("the command's run returned %s; it returns an exit status from 0 to 255"):format(tostring(status)), 0)
  end
  return status
end

-- The line that goes on after an interrupt; nil where there is nothing to go on with.
local function line_to_resume(name, cmd, ctx, arguments)
  if not cmd or not cmd.resume then return nil end
  local words = arguments
  if type(cmd.resume) == "function" then words = ctx and cmd.resume(ctx) or arguments end
  return command_line.join { "collegedb", name, table.unpack(words) }
end

-- Tells people what went wrong.
---@return integer status, string code, string message, string? resume
local function tell(name, failure, how_to_resume)
  if getmetatable(failure) == exit_meta then
    if not failure.told then complain(name, failure.message) end
    return failure.status, "USAGE", failure.message
  end
  local errors = require "collegedb.errors"
  if errors.is_interrupt(failure) then
    local resume = how_to_resume()
    if resume then io.stderr:write("interrupted; to go on: ", resume, "\n") else complain(name, "interrupted") end
    return 130, "INTERRUPTED", "interrupted", resume
  end
  complain(name, failure)
  if errors.is_error(failure) then
    -- That of a line of Lua is the script's own fault, not the arguments'.
    return failure.code == "USAGE" and not failure.where and 2 or 1, failure.code, failure.message
  end
  return 1, "SCRIPT", plain(failure)
end

-- What a program is told of an error, beside its code and message.
local told_fields <const> = { "where", "retryable", "shard", "key", "table", "sql", "sqlite_code", "field", "results" }

local function print_error(failure, code, message, resume)
  local object = { code = code, message = message, resume = resume, retryable = false }
  if require("collegedb.errors").is_error(failure) then
    for _, field in ipairs(told_fields) do object[field] = failure[field] end
    if object.results then object.results = json.object(object.results) end
  end
  if not utf8.len(message) then object.message = plain(message) end -- a string for programs, whatever it holds
  io.write(json.encode { error = object }, "\n")
end

---Runs a command. Whatever fails is told on standard error in one line, with --json also on standard output.
---@param name string
---@param ... string its arguments
---@return integer status for the process
function command.main(name, ...)
  local arguments = { ... }
  local cmd, ctx
  local ok, result = pcall(function()
    cmd = command.load(name, arguments)
    if not cmd then return 0 end
    ctx = new_context(name, parse(name, cmd, arguments), cmd)
    return run(cmd, ctx)
  end)
  line:clear()
  if not host.flush() and ok then ok, result = false, "standard output can not be written" end
  if ok then return result end
  local function how_to_resume() return line_to_resume(name, cmd, ctx, arguments) end
  local status, code, message, resume = tell(name, result, how_to_resume)
  local is_ours = cmd or getmetatable(result) == exit_meta -- a plain script's arguments are its own
  if is_ours and command_line.wants_json(arguments) then print_error(result, code, message, resume) end
  return status
end

return command
