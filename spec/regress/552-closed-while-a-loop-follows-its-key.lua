-- A loop over a key that had left its shard asked where it is; when a hook or a finalizer of the program closed the
-- database meanwhile, the program crashed.

local fixture = require "spec.support.fixture"

local SQL <const> = "SELECT id FROM users WHERE id = ?"

describe("regression 552:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function begin_loop(db, key)
    local step, cursor = db:each(key, SQL, { key })
    return step(cursor)
  end

  it("a database that is closed while a loop begins", function()
    local db = fixture.database "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY)"
    local key, to = fixture.key_on(db, "a"), { a = "b", b = "a" }
    local at = "a"
    db:insert(key, "INSERT INTO users VALUES (?)", { key })

    -- Closes after so many instructions of the call; whether it came to that.
    local function try(instructions)
      local stale, closed = fixture.open(fixture.config()), false
      assert.equal(key, stale:first(key, SQL, { key }).id)
      at = to[at]
      assert.is_true(db:reassign_shard(key, at).moved)
      debug.sethook(function()
        debug.sethook()
        closed = pcall(stale.close, stale)
        collectgarbage()
      end, "", instructions)
      local begun, result = pcall(begin_loop, stale, key)
      debug.sethook()
      if begun then assert.equal(key, result.id) else assert.equal("CLOSED", result.code) end
      pcall(stale.close, stale)
      return closed
    end

    local last, after = 1, 1 << 14 -- of the call's instructions
    while after - last > 1 do
      local middle = (last + after) // 2
      if try(middle) then last = middle else after = middle end
    end
    assert.is_true(last > 100)
    for instructions = last - 100, last do try(instructions) end
  end)
end)
