--- What runs `collegedb NAME …`: finds the command's file, parses its arguments with lua-argparse, gives it a context,
-- and turns the outcome into an exit status: 0 done, 1 failed, 2 wrong usage, 3 done with conflicts, 130 interrupted.
--
-- A command is a file that returns { summary, usage, options(parser), run(ctx) }; a file that returns nothing has
-- done its work by then. It is looked for in the config's script_dirs, in the folders of COLLEGEDB_PATH (DIR/NAME.lua,
-- DIR/commands/NAME.lua and DIR/scripts/NAME.lua), and then among the commands that came with CollegeDB.

local argparse = require "argparse"
local host = require "collegedb.host"
local json = require "collegedb.json"
local text_table = require "collegedb.text_table"

local command = {}

local shipped_prefix <const> = "collegedb.commands."
local default_config <const> = "./collegedb.lua"

---@class collegedb.Command
---@field summary string one line for `collegedb help`
---@field usage? string the arguments, as a user would write them
---@field description? string for --help, after the summary
---@field auto_migrate? boolean false: opening the database takes no existing data over
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

-- Errors that are an answer of their own, not a failure inside a command: { status = …, message = … }.
local exit_meta = { __tostring = function(e) return e.message end }

local function exit_with(status, message)
  error(setmetatable({ status = status, message = message }, exit_meta), 0)
end

local function one_line(value)
  return (tostring(value):gsub("%s*[\r\n]+%s*", " "))
end

local progress_shown = false

local function clear_progress()
  if progress_shown then io.stderr:write "\r\27[K" end
  progress_shown = false
end

local function misused(...) require "collegedb.errors".raise("USAGE", nil, ...) end

-- The same on a terminal and elsewhere: what is wrong must not show only where somebody looks.
local function check_progress(done, total, label)
  local fits = (done == nil or type(done) == "number") and (total == nil or type(total) == "number")
    and (label == nil or type(label) == "string")
  if not fits then misused "ctx.progress takes (done, total, label): two numbers and a string, or nothing to end it" end
end

local function show_progress(done, total, label)
  if not done then return clear_progress() end
  local share = total and total > 0 and (" of %.0f (%.0f %%)"):format(total, done * 100 // total) or ""
  io.stderr:write(("\r\27[K%s%.0f%s"):format(label and one_line(label) .. " " or "", done, share))
  progress_shown = true
end

local function check_rows(rows)
  if type(rows) ~= "table" then misused("ctx.print_table takes an array of rows, not a %s", type(rows)) end
  for i, row in ipairs(rows) do
    if type(row) ~= "table" then misused("ctx.print_table takes an array of rows; number %d is a %s", i, type(row)) end
  end
end

local function complain(name, message)
  io.stderr:write("collegedb ", name and one_line(name) .. ": " or "", one_line(message), "\n")
end

---The value of --config among arguments that are not parsed yet: which command they belong to may depend on it.
local function config_path_of(arguments)
  local path = default_config
  for i, argument in ipairs(arguments) do
    if argument == "--" then break end
    if argument == "--config" then path = arguments[i + 1] or path end
    path = argument:match "^%-%-config=(.*)$" or path
  end
  return path
end

-- Instructions: a config that loops without end is stopped, not waited for.
local config_limit <const> = 100000000

local function read_config(path)
  local errors, loader = require "collegedb.errors", require "collegedb.loader"
  if not host.exists(path) then
    errors.raise("CONFIG", nil, "there is no config file %s: `collegedb init` writes one, --config FILE names another",
      path)
  end
  local config = loader.run_file(nil, path, config_limit)
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
local function script_folders(config_path)
  local folders, problem = {}, nil
  if host.exists(config_path) then
    local ok, config = pcall(command.load_config, config_path)
    if not ok then
      problem = config
    elseif type(config.script_dirs) == "table" then
      table.move(config.script_dirs, 1, #config.script_dirs, 1, folders)
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
---@return table<string, string|false> commands, string[] names sorted
function command.list(config_path)
  local commands, names = {}, {}
  local own = (config_path or default_config):gsub("^%./", "")
  local function is_config(path) return path:gsub("^%./", "") == own end
  local function add(name, path)
    if commands[name] == nil then
      commands[name] = path
      names[#names + 1] = name
    end
  end
  for _, folder in ipairs((script_folders(config_path or default_config))) do
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
---@return collegedb.Command?
local function load_command(name, arguments)
  local folders, problem = script_folders(config_path_of(arguments))
  local valid = name:find "^[%w_-]+$"
  local path = valid and find_file(name, folders)
  if not path then
    if valid and is_shipped(name) then return require(shipped_prefix .. name) end
    local _, names = command.list(config_path_of(arguments))
    local message = ("there is no command '%s'; there are: %s"):format(name, table.concat(names, ", "))
    if host.exists(name) then message = message .. (" (to run the file, write ./%s)"):format(name) end
    if problem then message = message .. ("; the config could not be asked: %s"):format(one_line(problem)) end
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
  local parser = argparse("collegedb " .. name)
  if cmd.summary then
    parser:description(cmd.description and cmd.summary .. "\n" .. cmd.description or cmd.summary)
  end
  if cmd.usage then parser:usage("Usage: collegedb " .. cmd.usage) end
  parser:option("--config", "A Lua file that returns the config."):argname("FILE"):default(default_config)
  parser:flag("--json", "Write the result as JSON.")
  if cmd.options then cmd.options(parser) end
  function parser:error(message)
    io.stderr:write(("collegedb %s: %s\n%s\n"):format(name, message, self:get_usage()))
    exit_with(2, "")
  end
  return parser:parse(arguments)
end

---@return collegedb.CommandContext
local function new_context(name, args, cmd)
  local ctx = { name = name, args = args }
  local lazy = {
    config = function() return command.load_config(args.config) end,
    db = function()
      local config = {}
      for field, value in pairs(ctx.config) do config[field] = value end
      if cmd.auto_migrate ~= nil then config.auto_migrate = cmd.auto_migrate end
      return require("collegedb").open(config)
    end,
  }
  local terminal = host.is_terminal "stderr"
  function ctx.progress(done, total, label)
    check_progress(done, total, label)
    if terminal then show_progress(done, total, label) end
  end
  function ctx.print_json(value)
    io.write(json.encode(value), "\n")
  end
  function ctx.print_table(rows, columns)
    check_rows(rows)
    if args.json then
      ctx.print_json(rows)
    else
      io.write(text_table.format(rows, columns))
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

---Runs a command. Whatever fails is told on standard error in one line.
---@param name string
---@param ... string its arguments
---@return integer status for the process
function command.main(name, ...)
  local arguments = { ... }
  local ok, result = pcall(function()
    local cmd = load_command(name, arguments)
    return cmd and run(cmd, new_context(name, parse(name, cmd, arguments), cmd)) or 0
  end)
  io.stdout:flush()
  clear_progress()
  if ok then return result end
  if getmetatable(result) == exit_meta then
    if result.message ~= "" then complain(name, result.message) end
    return result.status
  end
  if require("collegedb.errors").is_interrupt(result) then
    complain(name, "interrupted; the same command goes on from here")
    return 130
  end
  complain(name, result)
  return 1
end

return command
