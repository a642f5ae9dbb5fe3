--- The command line: what its words mean before and after argparse has seen them, and how one is written.

local argparse = require "argparse"

local command_line = {}

command_line.default_config = "./collegedb.lua"

-- --- words ------------------------------------------------------------------------------------

--- A word for a shell.
---@param text string
---@return string
function command_line.quote(text)
  if text:find "^[%w_./,@%%+=:-]+$" then return text end
  if text:find "%c" or not utf8.len(text) then -- of bash and zsh; a terminal would obey them
    return "$'" .. text:gsub("[%c\x80-\xff'\\]", function(c) return ("\\%03o"):format(c:byte()) end) .. "'"
  end
  return "'" .. text:gsub("'", [['\'']]) .. "'"
end

--- A line that can be typed.
---@param words string[]
---@return string
function command_line.join(words)
  local quoted = {}
  for i, word in ipairs(words) do quoted[i] = command_line.quote(word) end
  return table.concat(quoted, " ")
end

--- The value of --config among arguments that are not parsed yet: which command they belong to may depend on it.
---@param arguments string[]
---@return string path
function command_line.config_path(arguments)
  local path = command_line.default_config
  for i, argument in ipairs(arguments) do
    if argument == "--" then break end
    if argument == "--config" then path = arguments[i + 1] or path end
    path = argument:match "^%-%-config=(.*)$" or path
  end
  return path
end

--- Is --json among the arguments? Also where they are wrong otherwise.
---@param arguments string[]
---@return boolean
function command_line.wants_json(arguments)
  for _, argument in ipairs(arguments) do
    if argument == "--" then return false end
    if argument == "--json" then return true end
  end
  return false
end

-- --- parsers ------------------------------------------------------------------------------------

local EXITS <const> = { [0] = "done", "failed", "wrong usage", [130] = "interrupted" }

--- What the exit statuses of a command mean, by number.
---@param cmd collegedb.Command
---@return { status: integer, text: string }[]
function command_line.exits(cmd)
  local all, list = {}, {}
  for status, text in pairs(EXITS) do all[status] = text end
  for status, text in pairs(cmd.exits or {}) do all[status] = text end
  for status, text in pairs(all) do list[#list + 1] = { status = status, text = text } end
  table.sort(list, function(a, b) return a.status < b.status end)
  return list
end

local function epilog(cmd)
  local lines = {}
  for i, example in ipairs(cmd.examples or {}) do
    if i == 1 then lines[1] = "Examples:" end
    lines[#lines + 1] = "   " .. example[1]
    lines[#lines + 1] = "         " .. (example[2] or "")
  end
  if #lines > 0 then lines[#lines + 1] = "" end
  local exits = {}
  for i, each in ipairs(command_line.exits(cmd)) do exits[i] = each.status .. " " .. each.text end
  lines[#lines + 1] = "Exit status: " .. table.concat(exits, "; ") .. "."
  return table.concat(lines, "\n")
end

local NUMBERS <const> = { [tonumber] = "a number", [math.tointeger] = "a whole number" }

-- argparse would say "malformed argument 'x'", and not of which option.
local function explain(given, name)
  local convert = given._convert
  if type(convert) ~= "function" then return end
  given._convert = function(text)
    local value, why = convert(text)
    if value ~= nil then return value end
    return nil, why or ("%s takes %s, not '%s'"):format(name, NUMBERS[convert] or given:_get_argname(1), text)
  end
end

local function explain_all(parser)
  for _, each in ipairs(parser._arguments) do explain(each, each._name) end
  for _, each in ipairs(parser._options) do explain(each, each._public_aliases[#each._public_aliases]) end
end

--- The argparse parser of a command.
---@param name string
---@param cmd collegedb.Command
---@return table parser
function command_line.parser(name, cmd)
  local parser = argparse("collegedb " .. name)
  if cmd.summary then
    parser:description(cmd.description and cmd.summary .. "\n" .. cmd.description or cmd.summary)
  end
  if cmd.usage then parser:usage("Usage: collegedb " .. cmd.usage) end
  parser:option("--config", "A Lua file that returns the config."):argname("FILE"):default(command_line.default_config)
  parser:flag("--json", "Write the result as JSON.")
  if cmd.options then cmd.options(parser) end
  explain_all(parser)
  parser:epilog(epilog(cmd))
  return parser
end

---@class collegedb.CommandElement an argument or option, as people see it
---@field names string[] an argument's only one, an option's aliases
---@field value string? what stands for its value; nil for a flag
---@field about string
---@field choices string[]?
---@field kinds string[] what it and its value are called, for those who complete it: "shard", "file", …
---@field many boolean an argument that takes all that follow

local function element(given, names, is_option)
  local takes = not is_option or given._maxargs > 0
  return {
    names = names, value = takes and given:_get_argname(1) or nil, about = given:_get_description() or "",
    choices = given._choices, many = given._maxargs > 1,
    kinds = { (names[#names]:lower():gsub("^%-+", "")), (given._argname or ""):lower() },
  }
end

--- What a parser takes. (argparse has no call for it: these fields are those of 0.7.)
---@param parser table
---@return collegedb.CommandElement[] arguments, collegedb.CommandElement[] options
function command_line.elements(parser)
  local arguments, options = {}, {}
  for i, each in ipairs(parser._arguments) do arguments[i] = element(each, { each._name }, false) end
  for _, each in ipairs(parser._options) do
    if not each._hidden then options[#options + 1] = element(each, each._public_aliases, true) end
  end
  return arguments, options
end

return command_line
