-- Runs the code blocks of a page, in a folder of its own: see spec/support/pages.lua for what they are.

local pages = require "spec.support.pages"
local process = require "spec.support.process"

local runner = {}

local collegedb <const> = pages.build .. "/collegedb"
local env <const> = {
  PATH = pages.build .. ":" .. os.getenv "PATH", CDB_ROOT = pages.root, CDB_BUILD = pages.build,
}

-- What every shell block begins with: the folder and variables that the last one left, and a stop at the first
-- command that fails. Status 3 is no failure: the commands' "done, with findings". `git clone` takes this source
-- tree, with its build.
local before <const> = [[
[ -e .session ] && . ./.session
set -E -o pipefail
trap 'code=$?; [ $code -eq 3 ] || { echo "status $code: $BASH_COMMAND" >&2; exit $code; }' ERR
git() { command git clone --quiet "$CDB_ROOT" "$3" && mkdir "$3/build" &&
  (cd "$CDB_BUILD" && cp -r collegedb lua obj gen flags lib* "$CDB_PAGE/$3/build") &&
  find "$3/build" -exec touch -d "@$(date +%s)" {} +; } # all of one time: nothing is to be made
unset MAKEFLAGS MAKELEVEL MFLAGS
export CDB_PAGE="${CDB_PAGE:-$PWD}"
]]
local after <const> = [[

jobs -p >>"$CDB_PAGE/.jobs"
{ export -p; echo "cd '$PWD'"; } >"$CDB_PAGE/.session"
]]

-- Blanks and line ends are no part of what is compared.
local function plain(text)
  return (text:gsub("[ \t]+", " "):gsub(" *\n", "\n"):gsub("\n+$", "\n"):gsub("^ ", ""))
end

local function check_status(block, result)
  if result.status == 0 then return result.stdout end
  pages.fail(block, "exit status %d\n%s%s", result.status, result.stdout, result.stderr)
end

-- A comment `--> text` behind a print says what it prints.
local function check_comments(block, printed)
  for wanted in block.text:gmatch "%-%->%s*([^\n]+)" do
    if not printed:gsub("\t", " "):find(wanted, 1, true) then
      pages.fail(block, "it does not print %q but\n%s", wanted, printed)
    end
  end
end

local function check_output(block, printed)
  local pattern = plain(block.text):gsub("%p", "%%%0"):gsub("…", ".-")
  if not plain(printed or ""):find("^" .. pattern .. "$") then pages.fail(block, "what is printed is\n%s", printed) end
end

local function write(folder, name, text)
  local inner = name:match "^(.*)/[^/]*$"
  if inner then assert(os.execute("mkdir -p " .. process.quote(folder .. "/" .. inner))) end
  process.write(folder .. "/" .. name, text)
end

local function run_lua(folder, block, name)
  local printed = check_status(block, process.run({ collegedb, "./" .. name }, { folder = folder, env = env }))
  check_comments(block, printed)
  return printed
end

local function run_shell(folder, block)
  write(folder, ".block", before .. block.text .. after)
  return check_status(block, process.run({ "bash", "./.block" }, { folder = folder, env = env, timeout = 120 }))
end

-- The folder that the shell is in, where files are written.
local function current(folder)
  return (process.read(folder .. "/.session") or ""):match "cd '([^'\n]+)'\n$" or folder
end

local function run(folder, block)
  local name = block.how:match "^file=(%S+)$"
  if name then
    write(current(folder), name, block.text)
    local program = block.language == "lua" and block.text:find 'require "collegedb"'
    return program and run_lua(current(folder), block, name) or nil
  elseif block.info == "lua run" then
    write(current(folder), "block.lua", block.text)
    return run_lua(current(folder), block, "block.lua")
  elseif block.info == "sh run" then
    return run_shell(folder, block)
  end
end

---Does running this page take something of this block?
---@param block spec.Block
function runner.runs(block)
  return block.how == "run" or block.how == "output" or block.how:find "^file=" ~= nil
end

---Runs the blocks in their order. `change(text)` may replace what is an example's own, such as an address.
---@param blocks spec.Block[]
---@param folder string
---@param change? fun(text: string): string
function runner.run(blocks, folder, change)
  local printed
  for _, block in ipairs(blocks) do
    if change then block.text = change(block.text) end
    if block.how == "output" then check_output(block, printed)
    elseif runner.runs(block) then printed = run(folder, block) or printed end
  end
end

---Ends what a page's shell blocks have left running in the background.
---@param folder string
function runner.stop(folder)
  for pid in (process.read(folder .. "/.jobs") or ""):gmatch "%d+" do
    os.execute("kill " .. pid .. " 2>/dev/null")
  end
end

return runner
