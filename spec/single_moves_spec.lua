-- Moving groups to and from shards that take a statement at a time: values, movers that die, answers that are lost.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"
local recovery = require "collegedb.recovery"
local single = require "spec.support.single"

local WORLDS <const> = { ["to one"] = { b = true }, ["from one"] = { a = true },
  ["from one to another"] = { a = true, b = true } }
local COMMITTED <const> = { commit = true, activate = true, publish = true, clean = true, close = true }

for what, which in pairs(WORLDS) do
  describe("moving " .. what .. " that takes a statement at a time", function()
    before_each(fixture.start)
    after_each(fixture.stop)

    it("takes the whole group of a key, with every value as it was", function()
      local db = single.open(which)
      local key = single.make(db)
      local before = single.contents "a"
      assert.same({ moved = true, from = "a", to = "b", rows = 2 + 3 * #single.VALUES }, db:reassign_shard(key, "b"))
      assert.same(single.NOTHING, single.count "a")
      assert.same(before, single.contents "b")
      assert.same({ "b", "directory" }, { db:locate(key) })
      assert.equal(#single.VALUES, #db:all(key, "SELECT id FROM orders WHERE user_id = ?", { key }))
      for _ = 1, 2 do
        assert.is_true(db:reassign_shard(key, "a").moved)
        assert.same(before, single.contents "a")
        assert.is_true(db:reassign_shard(key, "b").moved)
      end
      single.check_whole(db, key, before, "b")
    end)

    for _, step in ipairs(require("collegedb.workflows.move").steps) do
      it("is finished or undone when the mover dies after " .. step, function()
        local db = single.open(which)
        local key = single.make(db, 1, 3)
        local before = single.contents "a"
        db:close()
        local pipe = fixture.spawn(single.source(which) .. ([[
          local core, move = require "collegedb.core", require "collegedb.workflows.move"
          move.run(core.state(db), { keyspace = "", keys = { %q }, source = 1, target = 2, on_step = function(name)
            if name == %q then os.execute("kill -9 " .. io.open("/proc/self/stat"):read "n") end
          end })]]):format(key, step))
        pipe:read "a"
        pipe:close()
        db = single.open_again(which)
        recovery.run(core.state(db), true)
        single.check_whole(db, key, before, COMMITTED[step] and "b" or "a")
        assert.is_true(db:reassign_shard(key, COMMITTED[step] and "a" or "b").moved)
      end)
    end

    it("is finished or undone when a shard can not be reached from any statement on", function()
      local n, moved = 1
      repeat
        local db = single.open(which)
        local key = single.make(db, n * 10, 2)
        local before = single.contents "a"
        local restore = single.disconnect(n)
        local done, err = pcall(db.reassign_shard, db, key, "b")
        local calls = restore()
        moved = done
        assert.equal(calls >= n, not moved)
        if not moved then assert.equal("UNAVAILABLE", err.code, tostring(err)) end
        recovery.run(core.state(db), true)
        local on = single.count("a").users == 1 and "a" or "b"
        single.check_whole(db, key, before, on)
        db:close()
        single.remove_files()
        n = n + 3
      until moved
    end)

    for _, done_before in ipairs { true, false } do
      local how = done_before and "was done" or "was not done"
      it("goes on when the answer of any statement is lost that " .. how, function()
        local n, calls = 1, 1
        while n <= calls do
          local db = single.open(which)
          local key = single.make(db, n * 10, 2)
          local before = single.contents "a"
          local restore = single.lose_answers(n, done_before, 1)
          local moved, err = pcall(db.reassign_shard, db, key, "b")
          calls = restore()
          assert(moved, ("statement %d: %s"):format(n, tostring(err)))
          single.check_whole(db, key, before, "b")
          db:close()
          single.remove_files()
          n = n + 1
        end
      end)

      it("is finished or undone when every answer is lost from then on, of what " .. how, function()
        local n, calls = 1, 1
        while n <= calls do
          local db = single.open(which)
          local key = single.make(db, n * 10, 2)
          local before = single.contents "a"
          local restore = single.lose_answers(n, done_before, 1000)
          local moved, err = pcall(db.reassign_shard, db, key, "b")
          calls = restore()
          assert(moved == false or n > calls, "it was done")
          if not moved then assert.equal("OUTCOME_UNKNOWN", err.code, tostring(err)) end
          recovery.run(core.state(db), true)
          local on = single.count("a").users == 1 and "a" or "b"
          single.check_whole(db, key, before, on)
          db:close()
          single.remove_files()
          n = n + 2
          if calls >= 1000 then calls = n end
        end
      end)
    end
  end)
end

