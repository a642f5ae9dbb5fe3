-- The lock file of a directory that only its owner may read was open to everybody: who can open it can lock it, and
-- keep every program out. And a link in its place was followed, and a file made where it led.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local process = require "spec.support.process"

describe("regression 502:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function chmod(mode, name) process.run { "chmod", mode, fixture.path(name) } end
  local function mode(name) return core.file_facts(fixture.path(name)).mode & 0x1ff end

  it("it has the permissions of the directory", function()
    fixture.sqlite("directory.db", "CREATE TABLE x (a); DROP TABLE x")
    for _, rights in ipairs { "600", "660", "640", "644", "444" } do
      chmod(rights, "directory.db")
      fixture.open(fixture.config()):close()
      assert.equal(tonumber(rights, 8) | 384, mode "directory.db-users") -- who owns it can always lock it
      assert.equal(tonumber(rights, 8), mode "directory.db")
    end
  end)

  it("a link is not followed", function()
    process.run { "ln", "-s", fixture.path "victim", fixture.path "directory.db-users" }
    fixture.raises("UNAVAILABLE", "is a link", fixture.open, fixture.config())
    assert.is_nil(core.file_id(fixture.path "victim"))
    fixture.write("victim", "text")
    chmod("600", "victim")
    fixture.raises("UNAVAILABLE", "is a link", fixture.open, fixture.config())
    assert.equal("text", fixture.bytes "victim")
    os.remove(fixture.path "directory.db-users")
  end)

  it("another name of a file that has something in it is left as it is", function()
    fixture.write("victim", "text")
    chmod("600", "victim")
    process.run { "ln", fixture.path "victim", fixture.path "directory.db-users" }
    fixture.open(fixture.config()):close()
    assert.equal("text", fixture.bytes "victim")
    assert.equal(384, mode "victim")
  end)
end)
