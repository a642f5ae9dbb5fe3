--- What is said about commands: the list of them, the one that was meant, and the manual page.

local command_file = require "collegedb.command_file"
local command_line = require "collegedb.command_line"
local core = require "collegedb.core"
local host = require "collegedb.host"

local command_help = {}

local PREFIX <const> = "collegedb.commands."
local GROUPS <const> = { "Set up", "Keys and rows", "Growing", "Looking after it", "The program" }

-- --- the list ------------------------------------------------------------------------------------

--- The commands that came with CollegeDB.
---@return { name: string, cmd: collegedb.Command }[] by group, then by name
function command_help.shipped()
  local list, place = {}, {}
  for i, group in ipairs(GROUPS) do place[group] = i end
  for _, module in ipairs(host.embedded(PREFIX)) do
    list[#list + 1] = { name = module:sub(#PREFIX + 1), cmd = require(module) }
  end
  local function rank(each) return place[each.cmd.group] or #GROUPS - 1 end
  table.sort(list, function(a, b)
    if rank(a) ~= rank(b) then return rank(a) < rank(b) end
    return a.name < b.name
  end)
  for _, each in ipairs(list) do each.group = GROUPS[rank(each)] end
  return list
end

-- The folder one works in may be one of script_dirs, and has programs that nobody has meant as commands. COLLEGEDB_PATH
-- is for commands alone.
local function is_program(path)
  local here = core.real_path "."
  for folder in (os.getenv "COLLEGEDB_PATH" or ""):gmatch "[^;]+" do
    if core.real_path(folder) == here then return false end
  end
  return core.real_path(path:match "^(.*)/" or ".") == here and command_file.look(path).plain
end

-- A user's file is looked at, not loaded: a plain script would do its work.
local function own_row(name, path)
  local file = command_file.look(path)
  return { command = name, does = file.problem and "broken: " .. file.problem or file.summary, file = path }
end

--- What `collegedb help` lists: the shipped ones by group, then those of the user, which may replace some of them.
---@param commands table<string, string|false> as of command.list
---@param names string[]
---@return { command: string, does: string, group: string?, file: string? }[]
function command_help.rows(commands, names)
  local rows = {}
  for _, each in ipairs(command_help.shipped()) do
    if commands[each.name] == false then
      rows[#rows + 1] = { command = each.name, does = each.cmd.summary, group = each.group }
    end
  end
  for _, name in ipairs(names) do
    local path = commands[name]
    if path and not is_program(path) then rows[#rows + 1] = own_row(name, path) end
  end
  return rows
end

-- --- one of them, for programs -------------------------------------------------------------------

local function of_element(given)
  return { about = given.about, value = given.value, choices = given.choices }
end

--- What --help says of a command.
---@param name string
---@param cmd collegedb.Command
---@param file string? of a user's
---@return table
function command_help.describe(name, cmd, file)
  local out = { name = name, summary = cmd.summary or "", usage = cmd.usage or name, description = cmd.description,
    file = file, arguments = {}, options = {}, examples = {}, exits = {} }
  local arguments, options = command_line.elements(command_line.parser(name, cmd))
  for i, each in ipairs(arguments) do
    out.arguments[i] = of_element(each)
    out.arguments[i].name, out.arguments[i].value = each.names[1], nil
  end
  for i, each in ipairs(options) do
    out.options[i] = of_element(each)
    out.options[i].names = each.names
  end
  for i, each in ipairs(cmd.examples or {}) do out.examples[i] = { line = each[1], does = each[2] or "" } end
  for i, each in ipairs(command_line.exits(cmd)) do out.exits[i] = { status = each.status, means = each.text } end
  return out
end

--- The same of a plain script, which takes what it likes.
---@param name string
---@param file string
---@param summary string
function command_help.describe_script(name, file, summary)
  return { name = name, summary = summary, usage = name, file = file, arguments = {}, options = {}, examples = {},
    exits = {} }
end

-- --- the manual page ------------------------------------------------------------------------------

-- Text for roff: a line may not begin with a control character, and a dash is a dash.
local function roff(text)
  return (text:gsub("\\", "\\e"):gsub("%-", "\\-"):gsub("'", "\\(aq"):gsub("`", "\\(ga"):gsub("…", "...")
    :gsub("^%.", "\\&."):gsub("\n%.", "\n\\&."))
end

local function tagged(out, tag, text)
  out[#out + 1] = (".TP\n%s\n%s"):format(roff(tag), roff(text))
end

local function label(element)
  return table.concat(element.names, ", ") .. (element.value and " " .. element.value or "")
end

local function describe(out, name, cmd)
  out[#out + 1] = (".SS collegedb %s\n%s\n%s"):format(roff(cmd.usage or name), roff(cmd.summary),
    roff(cmd.description or ""))
  local arguments, options = command_line.elements(command_line.parser(name, cmd))
  for _, each in ipairs(arguments) do tagged(out, each.names[1], each.about) end
  for _, each in ipairs(options) do
    local common = { ["--help"] = true, ["--config"] = true, ["--json"] = true }
    if not common[each.names[#each.names]] then tagged(out, label(each), each.about) end
  end
  for i, example in ipairs(cmd.examples or {}) do
    if i == 1 then out[#out + 1] = ".PP\nExamples:" end
    tagged(out, example[1], example[2])
  end
  for status, text in pairs(cmd.exits or {}) do
    out[#out + 1] = (".PP\nExit status %d: %s."):format(status, roff(text))
  end
end

local COMMON <const> = [[.SH COMMANDS
Every command takes
.TP
\-\-config FILE
A Lua file that returns the config; ./collegedb.lua if none is named.
.TP
\-\-json
Write the result as one line of JSON; an error too, as {"error": {"code": ..., "message": ...}}.
.TP
\-h, \-\-help
Say what the command does, with its options and examples.
.PP
Commands of your own are Lua files in the folders of the config's script_dirs and of COLLEGEDB_PATH.]]

local END <const> = [[.SH EXIT STATUS
0 done; 1 failed; 2 wrong usage; 3 done, and there are conflicts or findings; 130 interrupted by Ctrl\-C or SIGTERM.
A long command that is interrupted prints the line that goes on.
.SH ENVIRONMENT
.TP
COLLEGEDB_PATH
Folders with commands, strategies, rules, policies and workflows of your own, separated by semicolons.
.TP
NO_COLOR
If it is set, nothing is coloured.
.TP
COLUMNS
How wide lines are, where the terminal does not say it.
.TP
LUA_INIT, LUA_PATH, LUA_CPATH
As for lua5.4.
.SH FILES
.TP
\&./collegedb.lua
The config.
.TP
~/.collegedb_history
Lines of the interactive mode.
.SH SEE ALSO
.BR lua5.4 (1),
.BR sqlite3 (1)]]

--- The manual page collegedb(1), of the commands that came with CollegeDB.
---@return string roff
function command_help.man()
  local out = {
    (".TH COLLEGEDB 1 \"\" \"collegedb %s\" \"CollegeDB\""):format(require("collegedb.core").version),
    ".SH NAME\ncollegedb \\- many SQLite files as one database, routed by key",
    ".SH SYNOPSIS", ".nf", "collegedb COMMAND [ARGUMENT...]", "collegedb [OPTION...] [SCRIPT.lua [ARGUMENT...]]",
    "collegedb", ".fi",
    ".SH DESCRIPTION\nRuns a command, or a Lua script as lua5.4 does, with every module of CollegeDB at hand. On a "
      .. "terminal and without arguments it asks for statements.", ".SH OPTIONS",
  }
  for option, text in host.usage:gmatch "\n  (%-[^\n]-)  +([^\n]+)" do tagged(out, option, text) end
  out[#out + 1] = COMMON
  for _, each in ipairs(command_help.shipped()) do describe(out, each.name, each.cmd) end
  out[#out + 1] = END
  return (table.concat(out, "\n"):gsub("\n\n+", "\n")) .. "\n"
end

return command_help
