-- Ctrl-C while `move` or `locate` asked whether digits are an integer key ended as a failure of a script, 1; and the
-- doctor took it for what the config's coordinator said.

local doctor_services = require "collegedb.doctor_services"
local key_argument = require "collegedb.key_argument"

describe("regression 399:", function()
  local function interrupted() error("x.lua:1: interrupted!", 0) end

  it("an interrupt while a key is looked up stays one", function()
    local ctx = { args = { key = "17" }, db = { locate = interrupted } }
    assert.same({ false, "x.lua:1: interrupted!" }, { pcall(key_argument.of, ctx) })
  end)

  it("an interrupt while the coordinator is asked stays one", function()
    local settings = { kv = "directory.db", coordinator = { peek = interrupted } }
    assert.same({ false, "x.lua:1: interrupted!" }, { pcall(doctor_services.check, error, settings, { shards = {} }) })
  end)
end)
