-- Error objects: their fields, how they print, and whose line they name.

local collegedb = require "collegedb"
local errors = require "collegedb.errors"
local fixture = require "spec.support.fixture"

-- The line of the caller, or one below it, as errors name it.
local function here(offset) return ("errors_spec.lua:%d"):format(debug.getinfo(2, "l").currentline + offset) end

describe("an error", function()
  local db

  before_each(function()
    fixture.start()
    db = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY)"
  end)
  after_each(fixture.stop)

  local function caught(f, ...)
    local ok, e = pcall(f, ...)
    assert.is_false(ok)
    return e
  end

  it("prints as one line that begins with the caller's line and the code", function()
    local line
    local e = caught(function()
      line = here(1)
      db:first("k", "SELECT nope FROM\n users")
    end)
    assert.matches("^[^:]*" .. line:gsub("%p", "%%%0") .. ": SQL: no such column: nope", tostring(e))
    assert.is_nil(tostring(e):find "\n")
    assert.matches(line:gsub("%p", "%%%0") .. "$", e.where)
  end)

  it("names the caller's line from every kind of call", function()
    local line
    local cases = {
      first = function() line = here(0) db:first("k", "SELEC") end,
      all = function() line = here(0) db:all("k", "SELEC") end,
      each = function() line = here(0) db:each("k", "SELEC") end,
      batch = function() line = here(0) db:batch("k", { { "SELEC" } }) end,
      count = function() line = here(0) db:count "nope" end,
      shard = function() line = here(0) db:shard "nope" end,
      open = function() line = here(0) collegedb.open { kv = 5 } end,
      handle = function() line = here(0) db:shard("a"):run "SELEC" end,
      exec = function() line = here(0) db:shard("a"):exec "SELEC" end,
      integrate = function() line = here(0) db:integrate("a", { nope = 1 }) end,
      run_all_shards = function() line = here(0) db:run_all_shards "SELEC" end,
      ensure_schema = function() line = here(0) db:ensure_schema "SELEC" end,
      create_schema = function() line = here(0) db:create_schema("a", "SELEC") end,
      key = function() line = here(0) db:key("nope", 1) end,
      blob = function() line = here(0) collegedb.blob(5) end,
      tx = function() db:transaction("k", function(tx) line = here(0) tx:run "SELEC" end) end,
    }
    for name, f in pairs(cases) do
      local e = caught(f)
      assert(tostring(e):find(line .. ": ", 1, true), ("%s: %s is not in %s"):format(name, line, tostring(e)))
    end
  end)

  it("has its fields", function()
    db:insert("k", "INSERT INTO users VALUES ('k')")
    local e = caught(db.insert, db, "k", "INSERT INTO users VALUES ('k')")
    assert.equal("CONSTRAINT", e.code)
    assert.equal("UNIQUE constraint failed: users.id", e.message)
    assert.equal(db:locate "k", e.shard)
    assert.equal("INSERT INTO users VALUES ('k')", e.sql)
    assert.equal(1555, e.sqlite_code)
    assert.is_false(e.retryable)
    assert.equal("k", e.key)
  end)

  it("is told by is_error", function()
    local e = caught(db.first, db, "k", "SELEC")
    assert.is_true(collegedb.is_error(e))
    assert.is_true(collegedb.is_error(e, "SQL"))
    assert.is_false(collegedb.is_error(e, "BUSY"))
    for _, value in ipairs { "SQL", 5, true, {}, { code = "SQL" }, print } do
      assert.is_false(collegedb.is_error(value))
      assert.is_false(collegedb.is_error(value, "SQL"))
    end
    assert.is_false(collegedb.is_error(nil))
  end)

  it("says whether the same call may succeed later", function()
    local retryable = {}
    for code, about in pairs(errors.codes) do
      assert.is_string(about.text)
      if about.retryable then retryable[#retryable + 1] = code end
    end
    table.sort(retryable)
    assert.same({ "BUSY", "MOVED", "MOVING", "RATE_LIMITED", "TIMEOUT", "UNAVAILABLE" }, retryable)
  end)

  it("has every code of the contract", function()
    local codes = [[CONFIG USAGE SCRIPT NO_SHARDS SHARD_NOT_FOUND TABLE_NOT_FOUND RECORD_NOT_FOUND MAPPING_NOT_FOUND
      CONFLICT CONSTRAINT SQL BUSY MOVED MOVING UNAVAILABLE TIMEOUT OUTCOME_UNKNOWN RATE_LIMITED AUTH READONLY CORRUPT
      FULL TOO_LARGE UNSUPPORTED NOMEM CLOSED INTERNAL]]
    local count = 0
    for code in codes:gmatch "%S+" do
      assert.is_table(errors.codes[code], code)
      count = count + 1
    end
    for _ in pairs(errors.codes) do count = count - 1 end
    assert.equal(0, count)
  end)

  it("passes through pcall, error and coroutines as it is", function()
    local ok, e = coroutine.resume(coroutine.create(function() db:first("k", "SELEC") end))
    assert.is_false(ok)
    assert.is_true(collegedb.is_error(e, "SQL"))
    local again = caught(error, e)
    assert.equal(e, again)
  end)

  it("has a message that may hold any byte", function()
    local e = caught(db.first, db, "k", "SELECT * FROM \"100%s\n%d\"")
    assert.equal("SQL", e.code)
    assert.is_nil(tostring(e):find "\n")
    assert(tostring(e):find("100%s", 1, true))
  end)
end)
