-- Runs Lua in a process with spec/support/scarcity.c preloaded.

local assert = require "luassert"
local process = require "spec.support.process"

local starved = {}

-- A sanitized module needs its runtime preloaded too (spec/run), behind ours.
local function preloaded()
  local runtime = os.getenv "LD_PRELOAD"
  return process.build .. "/spec/scarcity.so" .. (runtime and " " .. runtime or "")
end

local function run(...)
  local options = os.getenv "ASAN_OPTIONS"
  local env = { ASAN_OPTIONS = options and options .. ":verify_asan_link_order=0" }
  local result = process.run({ "env", "LD_PRELOAD=" .. preloaded(), "lua5.4", ... }, { timeout = 280, env = env })
  assert(result.status == 0, result.stderr .. result.stdout)
  return result.stdout
end

---@param script string Lua, for which `scarcity` and `collegedb` are there, and which asserts
---@return string # what it printed
function starved.script(script)
  return run("-e", ("package.path = 'lua/?.lua;' .. package.path; package.cpath = %q; scarcity = require 'scarcity'; "
    .. "collegedb = require 'collegedb'"):format(package.cpath), "-e", script)
end

---Tries a scenario of spec/allocation/scenarios.lua and asserts that nothing went wrong.
---@param scenario string its name
---@param points integer of each way; 0: all
---@param way string? only this way that memory runs out
---@return integer # how many points were tried
function starved.sweep(scenario, points, way)
  local result = run("spec/allocation/run", tostring(points), "1", scenario, way)
  return tonumber(result:match "%*%*all%*%* | (%d+)")
end

return starved
