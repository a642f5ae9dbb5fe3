-- A program remembered the shard of a key without rows. The shard was drained, and another program inserted the key
-- elsewhere: the first one went on looking for it on the drained shard, and its UPDATE changed nothing.

local fixture = require "spec.support.fixture"

local READ <const>, WRITE <const> = "SELECT n FROM users WHERE id = ?", "UPDATE users SET n = n + 1 WHERE id = ?"

describe("a key that has no rows while its shard is drained", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  for _, strategy in ipairs { "round_robin", "hash" } do
    it("is looked for where it comes again, with the strategy " .. strategy, function()
      local extra = { strategy = strategy }
      local db = fixture.database("CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)", extra)
      local other, keys = fixture.open(fixture.config(extra)), {}
      for i = 1, 12 do
        keys[i] = "u" .. i
        other:insert(keys[i], "INSERT INTO users VALUES (?, 1)", { keys[i] })
        other:run(keys[i], "DELETE FROM users WHERE id = ?", { keys[i] })
      end
      assert.is_true(db:drain("a").sealed)
      for _, key in ipairs(keys) do db:insert(key, "INSERT INTO users VALUES (?, 1)", { key }) end
      local seen = 0
      for i, key in ipairs(keys) do
        if i <= 3 then assert.equal(1, other:first(key, READ, { key }).n)
        elseif i <= 6 then assert.equal(1, other:run(key, WRITE, { key }).meta.changes)
        elseif i <= 9 then
          other:transaction(key, function(tx) assert.equal(1, tx:run(WRITE, { key }).meta.changes) end)
        else
          for row in other:each(key, READ, { key }) do seen = seen + row.n end
        end
      end
      assert.equal(3, seen)
      assert.is_true(db:verify().success)
    end)
  end
end)
