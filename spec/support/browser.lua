-- Chromium, which specs look at pages with (spec/engine/look.mjs).

local json_reader = require "collegedb.json_reader"
local lfs = require "lfs"
local node = require "spec.support.node"
local process = require "spec.support.process"

local browser = {}

---@return string? why it can not be started
function browser.missing()
  if not lfs.attributes(os.getenv "CHROMIUM" or "/usr/bin/chromium") then
    return "there is no chromium (scripts/bootstrap test installs it)"
  end
  if not lfs.attributes "spec/engine/node_modules/playwright-core" then
    return "spec/engine has no playwright-core (scripts/bootstrap test installs it)"
  end
  return node.missing()
end

---Whether the specs of this describe are to be skipped, which is seen: under CI it is a failure.
---@param it function busted's
---@param pending fun(why: string) calls busted's, which means another thing inside a test than around it
---@return boolean
function browser.skips(it, pending)
  local missing = browser.missing()
  if not missing then return false end
  it("is looked at in Chromium", function()
    assert(not os.getenv "CI", missing)
    pending(missing)
  end)
  return true
end

---What is seen on pages: path → "light 1200", "light 360", "dark 1200" or "dark 360" → what look.mjs says of it.
---@param paths string[]
---@return table<string, table<string, table>>
function browser.look(paths)
  local home = process.new_folder()
  local result = process.run({ "node", "spec/engine/look.mjs", table.unpack(paths) },
    { timeout = 90, env = { HOME = home } })
  process.remove(home)
  assert(result.status == 0, result.stderr)
  return json_reader.decode(result.stdout)
end

return browser
