-- A shard that was added while programs ran is described in the directory. Whoever wrote there could have programs make
-- a database at any path, send a token to who has a certificate of his own, and put another path behind the gateway.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local d1 = require "collegedb.d1"
local fixture = require "spec.support.fixture"
local net = require "collegedb.net"
local process = require "spec.support.process"

describe("regression 503:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  it("no file is made for a shard that the directory alone names", function()
    local db = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY)"
    db:add_shard { name = "c", fixture.path "c.db" }
    db:close()
    fixture.open(fixture.config()):close()
    for _, path in ipairs { fixture.path "elsewhere.db", "../elsewhere.db" } do
      fixture.rows("directory.db", [[UPDATE _collegedb_shards SET settings = json_set(settings, '$.path', ?)
        WHERE name = 'c']], { path })
      fixture.raises("CONFIG", "elsewhere", collegedb.open, fixture.config())
    end
    assert.is_nil(core.file_id(fixture.path "elsewhere.db"))
    assert.is_nil(core.file_id(fixture.path "../elsewhere.db"))
  end)

  it("nor by a program that runs when it is named", function()
    local db = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY)"
    fixture.open(fixture.config()):add_shard { name = "c", fixture.path "c.db" }
    fixture.rows("directory.db", [[UPDATE _collegedb_shards SET settings = json_set(settings, '$.path', ?)
      WHERE name = 'c']], { fixture.path "elsewhere.db" })
    for i = 1, 20 do pcall(db.insert, db, "k" .. i, "INSERT INTO users VALUES (?)", { "k" .. i }) end
    assert.same({ "a", "b" }, db:list_known_shards())
    assert.is_nil(core.file_id(fixture.path "elsewhere.db"))
  end)

  it("a description is no more than one", function()
    local good = { gateway = "http://127.0.0.1:9", binding = "DB" }
    assert.equal("d1 DB", tostring(d1.described(good)))
    for field, value in pairs { binding = "../coordinator", gateway = "http://example.com", ca_file = 5,
      deadline = -1, replicas = "x", token = "x" } do
      local bad = { gateway = good.gateway, binding = good.binding, [field] = value }
      fixture.raises("CONFIG", "gateway", d1.described, bad)
    end
    fixture.raises("CONFIG", "gateway", d1.described, { gateway = good.gateway })
  end)

end)

describe("regression 503:", function()
  it("a token goes to nobody whose certificate only the directory trusts", function()
    local folder = process.new_folder()
    local base = folder .. "/evil"
    local made = process.run { "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
      "-nodes", "-keyout", base .. ".key", "-out", base .. ".pem", "-days", "2", "-subj", "/CN=localhost",
      "-addext", "subjectAltName=DNS:localhost" }
    assert(made.status == 0, made.stderr)
    local pipe = assert(io.popen(("exec timeout 60 openssl s_server -accept 127.0.0.1:0 -www -key %s.key -cert %s.pem "
      .. "</dev/null 2>&1 & echo $!; wait"):format(base, base)))
    local id, port = pipe:read "l", nil
    for line in pipe:lines() do
      port = line:match "^ACCEPT.*:(%d+)"
      if port then break end
    end
    local url = "https://localhost:" .. port
    local function ask()
      local shard = d1.described { gateway = url, binding = "DB", ca_file = base .. ".pem", deadline = 3 }
      local _, err = pcall(shard.first, shard, "SELECT 1")
      return err
    end
    assert.is_nil(ask().message:find "certificate") -- without a token there is nothing to lose
    collegedb.gateway { url = url, token = "the-token" }
    local err = ask()
    net.close()
    os.execute("kill " .. id)
    pipe:close()
    process.remove(folder)
    assert.equal("UNAVAILABLE", err.code)
    assert.matches("certificate", err.message)
  end)
end)
