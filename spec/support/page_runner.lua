-- Runs the code blocks of a page, in a folder of its own: see spec/support/pages.lua for what they are.

local gateway = require "spec.support.gateway"
local pages = require "spec.support.pages"
local process = require "spec.support.process"

local runner = {}

local collegedb <const> = pages.build .. "/collegedb"
local env <const> = {
  PATH = pages.build .. ":" .. os.getenv "PATH", CDB_ROOT = pages.root, CDB_BUILD = pages.build,
  LC_ALL = "C.UTF-8", -- bars of blocks
}

-- What a shell block stands between.
local before <const> = [[
export CDB_PORT=8787
. "$CDB_ROOT/spec/support/page_session.sh"
]]
local after <const> = [[

jobs -p >>"$CDB_PAGE/.jobs"
{ export -p; echo "cd '$PWD'"; } >"$CDB_PAGE/.session"
]]

-- How many blanks there are, and those at the end of lines, are no part of what is compared. A tab is none.
local function plain(text)
  return (text:gsub(" +", " "):gsub("[ \t]*\n", "\n"):gsub("\n+$", "\n"):gsub("^ ", ""))
end

local function pattern_of(text) return "^" .. text:gsub("%p", "%%%0"):gsub("…", ".-") .. "$" end

local function check_status(block, result)
  if result.status == 0 then return result.stdout end
  pages.fail(block, "exit status %d\n%s%s", result.status, result.stdout, result.stderr)
end

-- A comment `--> text` behind a print says what it prints, the whole line, with a blank for a tab: each a line behind
-- that of the comment before it.
local function check_comments(block, printed)
  local next_line = plain(printed:gsub("\t", " ") .. "\n"):gmatch "([^\n]*)\n"
  for wanted in block.text:gmatch "%-%->%s*([^\n]+)" do
    local line
    repeat line = next_line() until not line or line:find(pattern_of(wanted))
    if not line then pages.fail(block, "it does not print the line %q but\n%s", wanted, printed) end
  end
end

local function check_output(block, printed)
  if plain(printed or ""):find(pattern_of(plain(block.text))) then return end
  pages.fail(block, "what is printed is\n%s", printed)
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

-- A program for a gateway: its address and its token are those of the one on the specs' engine.
local function run_with_gateway(folder, block)
  local worker = gateway.start { databases = { "DB_EAST", "DB_WEST" }, namespaces = { "MAPPINGS" } }
  local text = block.text:gsub("https://collegedb%.[%w-]+%.workers%.dev", worker.url)
  write(folder, "block.lua", (text:gsub('token = "…"', ('token = %q'):format(gateway.token))))
  local done, printed = pcall(run_lua, folder, block, "block.lua")
  worker.stop()
  if not done then error(printed, 0) end
  return printed
end

local function run_shell(folder, block)
  write(folder, ".block", block.before .. block.text .. after)
  return check_status(block, process.run({ "bash", "./.block" }, { folder = folder, env = env, timeout = 120 }))
end

-- The folder that the shell is in, where files are written.
local function current(folder)
  return (process.read(folder .. "/.session") or ""):match "cd '([^'\n]+)'\n$" or folder
end

-- A program that no later line for the shell runs.
local function runs_by_itself(block, name, later)
  if block.language ~= "lua" or not block.text:find 'require "collegedb"' then return false end
  for _, other in ipairs(later) do
    if other.info == "sh run" and other.text:find(name, 1, true) then return false end
  end
  return true
end

local function run(folder, block, later)
  local name = block.how:match "^file=(%S+)$"
  if name then
    write(current(folder), name, block.text)
    return runs_by_itself(block, name, later) and run_lua(current(folder), block, name) or nil
  elseif block.info == "lua run" then
    write(current(folder), "block.lua", block.text)
    return run_lua(current(folder), block, "block.lua")
  elseif block.info == "lua gateway" then
    return run_with_gateway(folder, block)
  elseif block.info == "sh run" then
    return run_shell(folder, block)
  end
end

---Does running this page take something of this block?
---@param block spec.Block
function runner.runs(block)
  return block.how == "run" or block.how == "gateway" or block.how == "output" or block.how:find "^file=" ~= nil
end

---Runs the blocks in their order.
---@param blocks spec.Block[]
---@param folder string
---@param here table<string, string>? what is another word on this machine, such as an address
function runner.run(blocks, folder, here)
  local printed
  for i, block in ipairs(blocks) do
    block.before = before
    for word, another in pairs(here or {}) do
      block.text, block.before = block.text:gsub(word, another), block.before:gsub(word, another)
    end
    if block.how == "output" then check_output(block, printed)
    elseif runner.runs(block) then printed = run(folder, block, { table.unpack(blocks, i + 1) }) or printed end
  end
end

local function end_family(pid)
  local pipe <close> = assert(io.popen("env -u LD_PRELOAD ps -o pid= --ppid " .. pid))
  for child in pipe:lines() do end_family(child:match "%d+") end
  os.execute("kill " .. pid .. " 2>/dev/null")
end

---Ends what a page's shell blocks have left running in the background.
---@param folder string
function runner.stop(folder)
  for pid in (process.read(folder .. "/.jobs") or ""):gmatch "%d+" do end_family(pid) end
end

---A port of this machine on which nobody answers.
---@return integer
function runner.free_port()
  local port
  repeat port = math.random(20000, 29999)
  until not os.execute(("bash -c 'echo >/dev/tcp/127.0.0.1/%d' 2>/dev/null"):format(port))
  return port
end

return runner
