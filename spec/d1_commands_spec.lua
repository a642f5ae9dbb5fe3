-- The commands of the program `collegedb` with a D1 shard beside a file: over REST, and behind a gateway, whose
-- coordinator is the directory.

local engine = require "spec.support.engine"
local gateway = require "spec.support.gateway"
local process = require "spec.support.process"

local rest = { name = "a D1 shard" }

function rest.start()
  local endpoint, names = engine.start(1)
  rest.kv, rest.far = '"directory.db"', ("collegedb.d1 { database = %q, endpoint = %q }"):format(names[1], endpoint)
  rest.stop = engine.stop
end

local behind = { name = "a shard and a coordinator behind the gateway" }

function behind.start()
  local worker = gateway.start { databases = { "DB" } }
  local at = ("collegedb.gateway { url = %q }"):format(worker.url)
  behind.kv, behind.far, behind.stop = at .. ":coordinator()", at .. ":shard 'DB'", worker.stop
end

for _, kind in ipairs { rest, behind } do
  describe("a command, with " .. kind.name .. ",", function()
    if engine.skips(it, function(why) pending(why) end) then return end

    local folder
    setup(kind.start)
    teardown(function() kind.stop() end)
    before_each(function() folder = process.new_folder() end)
    after_each(function() process.remove(folder) end)

    local function run(...)
      return process.run({ process.collegedb, ... }, { folder = folder,
        env = { COLLEGEDB_GATEWAY_TOKEN = gateway.token } })
    end

    local function says(pattern, ...)
      local result = run(...)
      assert.equal("", result.stderr)
      assert.equal(0, result.status, result.stdout)
      assert.matches(pattern, result.stdout)
    end

    it("does what it does with files", function()
      process.write(folder .. "/collegedb.lua", ([[local collegedb = require "collegedb"
        return { kv = %s, auto_migrate = false, shards = { { name = "file", "file.db" },
          { name = "far", %s } } }]]):format(kind.kv, kind.far))
      says("0 changed on far", "query", "--shard", "far", "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER)")
      says("0 changed on far", "query", "--shard", "far",
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, user TEXT REFERENCES users ON DELETE CASCADE)")
      says("0 changed on far", "query", "--shard", "far", "CREATE INDEX orders_user ON orders (user)")
      says("2 changed on far", "query", "--shard", "far", "INSERT INTO users VALUES ('ada', 1), ('bea', 2)")
      says("users: key id, 2 records", "validate")
      says("2 records", "integrate", "far")
      says("^far ", "locate", "ada")
      says("bea +2", "query", "bea", "SELECT id, n FROM users WHERE id = ?", "bea")
      says('"n":2', "query", "--all", "--json", "SELECT 2 AS n")
      says('"binding":"far".*"count":2', "status", "--json")
      says("all is well", "verify")
      says("foreign keys are enforced", "doctor")
      says("far: %d+ entries removed", "rollback", "far")
    end)
  end)
end
