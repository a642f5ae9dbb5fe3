-- Of a key on two shards whose move was refused, verify said that this move had brought it to where it had always been,
-- and to delete the other rows as older ones.

local fixture = require "spec.support.fixture"
local single = require "spec.support.single"

describe("verify, after a move that was undone,", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  for _, which in ipairs { {}, single.BOTH } do
    it("does not say that it has brought the key " .. (which.a and "(no transactions)" or "(files)"), function()
      local db = single.open(which)
      for _, name in ipairs { "a", "b" } do db:shard(name):run "INSERT INTO users (id) VALUES ('ada')" end
      for _, name in ipairs { "a", "b" } do db:integrate(name) end
      local at = db:locate "ada"
      fixture.raises("CONFLICT", "has rows of it", db.reassign_shard, db, "ada", at == "a" and "b" or "a")
      local report = db:verify()
      assert.equal(1, report.counts.doubled)
      assert.matches("rows of it are on a, b: compare them", report.findings[1].advice)
    end)
  end
end)
