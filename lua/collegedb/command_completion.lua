--- What may stand at a place of a command line, for shells that complete it. Asked at each press of Tab: it reads the
-- config and the commands, but lets neither do anything, and opens no database.

local command = require "collegedb.command"
local command_file = require "collegedb.command_file"
local command_line = require "collegedb.command_line"
local harmless = require "collegedb.harmless"
local host = require "collegedb.host"

local command_completion = {}

--- The line that says: names of files, too.
command_completion.files = ":files"

local BASH <const> = [[
# Completion for collegedb. In ~/.bashrc: eval "$(collegedb completion bash)"
_collegedb() {
  local word file
  COMPREPLY=()
  while IFS= read -r word; do
    if [ "$word" = :files ]; then
      compopt -o filenames 2>/dev/null
      while IFS= read -r file; do COMPREPLY+=("$file"); done < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]#=}")
    else
      case ${COMP_WORDS[COMP_CWORD]} in
        [\'\"]*) COMPREPLY+=("$word") ;;
        *) COMPREPLY+=("$(printf %q "$word")") ;;
      esac
    fi
  done < <("${COMP_WORDS[0]/#\~/$HOME}" completion --words "$COMP_CWORD" -- "${COMP_WORDS[@]}" 2>/dev/null)
}
complete -F _collegedb collegedb
]]

local ZSH <const> = [=[
#compdef collegedb
# Completion for collegedb. In ~/.zshrc, after compinit: eval "$(collegedb completion zsh)"
_collegedb() {
  local -a found
  found=("${(@f)$("${words[1]/#\~/$HOME}" completion --words $((CURRENT - 1)) -- "${words[@]}" 2>/dev/null)}")
  if (( ${found[(Ie):files]} )); then
    found=("${(@)found:#:files}")
    _files
  fi
  found=("${(@)found:#}")
  (( $#found )) && compadd -- "${found[@]}"
}
# As a file of fpath it is the function itself, called for the first time.
if [[ $funcstack[1] = _collegedb ]]; then _collegedb "$@"; else compdef _collegedb collegedb; fi
]=]

command_completion.scripts = { bash = BASH, zsh = ZSH }

-- --- what there is -------------------------------------------------------------------------------

-- What a config says when nothing that it would do is done.
local function read_config(path)
  local config = harmless.run(path)
  return type(config) == "table" and config or {}
end

local function list_commands(config_path) return command.list(config_path, read_config) end

-- The names of the config's shards, in an array or a map; none where there is no config that can be read.
local function shard_names(config_path)
  local shards, names = read_config(config_path).shards, {}
  for key, shard in pairs(type(shards) == "table" and shards or {}) do
    local name = type(shard) == "table" and type(shard.name) == "string" and shard.name or key
    if type(name) == "string" then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

-- A user's file is asked only if it returns a command.
local function load_command(name, config_path)
  local path = list_commands(config_path)[name]
  if path == nil or path and command_file.look(path).plain then return nil end
  local cmd
  if path then cmd = harmless.run(path) else cmd = require("collegedb.commands." .. name) end
  return type(cmd) == "table" and cmd or nil
end

local FILES <const> = { command_completion.files }

-- By what an argument or option is called, or its value.
local kinds = {
  shard = shard_names, shards = shard_names,
  shell = function() return { "bash", "zsh" } end,
  command = function(config_path) return select(2, list_commands(config_path)) end,
  file = function() return FILES end, dir = function() return FILES end, output = function() return FILES end,
}

local function values_of(element, config_path)
  if not element or not element.value then return {} end
  if element.choices then return element.choices end
  for _, kind in ipairs(element.kinds) do
    if kinds[kind] then return kinds[kind](config_path) end
  end
  return {}
end

-- --- where the cursor is ---------------------------------------------------------------------------

local function find_option(options, word)
  for _, each in ipairs(options) do
    for _, name in ipairs(each.names) do
      if name == word then return each end
    end
  end
end

local function option_names(options)
  local names = {}
  for _, each in ipairs(options) do
    for _, name in ipairs(each.names) do
      if #name > 2 then names[#names + 1] = name end
    end
  end
  table.sort(names)
  return names
end

-- What the word behind `before`, the words of a command, may be, and what of it is there already.
local function complete_command(cmd, name, before, word, config_path)
  local arguments, options = command_line.elements(command_line.parser(name, cmd))
  local pending, position, only_arguments = nil, 1, false
  for _, each in ipairs(before) do
    local option = not only_arguments and each:find "^%-" and find_option(options, each)
    local between = each == "=" and pending -- bash takes --config=FILE apart
    if between then pending = between
    elseif pending then pending = nil
    elseif each == "--" then only_arguments = true
    elseif option then pending = option.value and option or nil
    elseif only_arguments or not each:find "^%-." then position = position + 1 end
  end
  if pending then return values_of(pending, config_path), word == "=" and "" or word end
  local long, value = word:match "^(%-%-[^=]+)=(.*)$"
  if long and not only_arguments then -- the shell knows the word as a whole
    local list = {}
    for i, each in ipairs(values_of(find_option(options, long), config_path)) do
      list[i] = each == command_completion.files and each or long .. "=" .. each
    end
    return list, long .. "=" .. value
  end
  if word:find "^%-" and not only_arguments then return option_names(options), word end
  local last = arguments[#arguments]
  return values_of(arguments[position] or last and last.many and last, config_path), word
end

-- The program's own options take a value in the next word.
local TAKES <const> = { ["-e"] = true, ["-l"] = true, ["--config"] = true }

local function complete_program(word, config_path)
  local list = {}
  if word:find "^%-" then
    for option in host.usage:gmatch "%f[-](%-%-%l+)" do list[#list + 1] = option end
    return list
  end
  for i, name in ipairs(select(2, list_commands(config_path))) do list[i] = name end
  list[#list + 1] = command_completion.files -- a script
  return list
end

-- A word as the shell would read it.
local function unquote(word) return (word:gsub("^[\"']", ""):gsub("\\(.)", "%1")) end

local function find(words, at)
  local word, first = unquote(words[at] or ""), 2
  local config_path = command_line.config_path { table.unpack(words, 2) }
  while first < at and words[first]:find "^%-." do first = first + (TAKES[words[first]] and 2 or 1) end
  local previous = words[at - 1]
  if first > at then return previous == "--config" and FILES or {}, word end
  if first == at then return complete_program(word, config_path), word end
  local cmd = load_command(words[first], config_path)
  if not cmd then return FILES, word end -- a script, or nothing that is known
  return complete_command(cmd, words[first], { table.unpack(words, first + 1, at - 1) }, word, config_path)
end

--- What the word at `at` may become.
---@param words string[] the line, the program's name first
---@param at integer from 1
---@return string[] words; command_completion.files stands for names of files
function command_completion.find(words, at)
  local list, beginning = find(words, at)
  local found = {}
  for _, each in ipairs(list) do
    local fits = each == command_completion.files or each:sub(1, #beginning) == beginning
    if fits and not each:find "[\r\n]" then found[#found + 1] = each end
  end
  return found
end

return command_completion
