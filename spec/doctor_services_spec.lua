-- What doctor says of services, on Cloudflare's own engine and the gateway Worker: that they answer, that they do not,
-- and what is wrong with a token, which it never shows.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local doctor = require "collegedb.doctor"
local fixture = require "spec.support.fixture"
local gateways = require "spec.support.gateway"
local json = require "collegedb.json"
local faults = require "spec.support.faults"
local net = require "collegedb.net"
local normalize = require("collegedb.config").normalize
local status = require "collegedb.status"

describe("doctor on services", function()
  local server

  if gateways.skips(it, function(why) pending(why) end) then return end

  setup(function()
    server = gateways.start { databases = { "ONE", "TWO" }, namespaces = { "MAPPINGS" } }
  end)

  teardown(function()
    server.stop()
  end)

  before_each(fixture.start)
  after_each(function()
    net.close()
    fixture.stop()
  end)

  local function gateway(token) return collegedb.gateway { url = server.url, token = token or gateways.token } end

  -- What is said of each part, as "state: what | mend".
  local function said(config)
    local report, lines = doctor.run(config), {}
    local text = json.encode(report)
    for _, token in ipairs { gateways.token, gateways.read_token, "wrong-token" } do
      assert.is_nil(text:find(token, 1, true))
    end
    for _, each in ipairs(report.diagnoses) do
      if each.topic == "services" then
        lines[#lines + 1] = ("%s %s: %s | %s"):format(each.state, each.about, each.what, each.mend or "")
      end
    end
    return table.concat(lines, "\n"), report
  end

  local function config(more, ...)
    local at = gateway(...)
    local out = { kv = fixture.path "directory.db", auto_migrate = false,
      shards = { { name = "one", at:shard "ONE" }, { name = "file", fixture.path "file.db" } } }
    for field, value in pairs(more or {}) do out[field] = value end
    return out
  end

  it("says how fast each answers", function()
    local given = config { publish = gateway():kv "MAPPINGS" }
    collegedb.open(given):close()
    local text, report = said(given)
    assert.is_true(report.success, json.encode(report))
    assert.matches("ok one: d1 ONE answers in %d+ ms", text)
    assert.matches("ok publish: entries are published to workers kv MAPPINGS, which answers in %d+ ms", text)
  end)

  it("says that the coordinator answers, and when there is nothing in it", function()
    local given = config { kv = gateway():coordinator() }
    assert.matches("ok directory: the coordinator of http.* answers; there is no directory yet", (said(given)))
    collegedb.open(given):close()
    assert.matches("ok directory: the coordinator of http.* answers in %d+ ms", (said(given)))
  end)

  it("tells a token that only reads, one that is refused, and a binding that is not there", function()
    collegedb.open(config()):close()
    local text, report = said(config({ publish = gateway(gateways.read_token):kv "MAPPINGS" }, gateways.read_token))
    assert.is_false(report.success)
    assert.matches("fault one: its token may only read | give it a token that may write", text)
    assert.matches("fault publish: its token may only read", text)
    text = said(config({}, "wrong-token"))
    assert.matches("fault one: .*COLLEGEDB_GATEWAY_TOKEN", text)
    text = said(config { kv = gateway "wrong-token":coordinator() })
    assert.matches("fault directory: .*COLLEGEDB_GATEWAY_TOKEN", text)
    text = said(config { shards = { { name = "one", gateway():shard "NONE" } } })
    assert.matches("fault one: .*not in COLLEGEDB_DATABASES | see that its name is right", text)
  end)

  it("looks at a directory in D1, as status does, and is no program that has it open", function()
    local given = config { kv = gateway():shard "TWO" }
    local db = fixture.open(given)
    db:ensure_schema "CREATE TABLE users (id TEXT PRIMARY KEY)"
    for i = 1, 10 do db:insert("k" .. i, "INSERT INTO users VALUES (?)", { "k" .. i }) end
    for _, kv in ipairs { given.kv, gateway():coordinator() } do
      local at = config { kv = kv }
      if kv ~= given.kv then collegedb.open(at):close() end
      local reader = status.new(normalize(at))
      local report = reader:read()
      reader:close()
      assert.same({ 10, true, kv == given.kv and 1 or 0 }, { report.keys, report.healthy, report.programs.count })
      assert.is_true(report.shards[1].latency > 0 and report.directory.epoch > 0)
    end
    local text, report = said(given)
    assert.is_true(report.success, json.encode(report))
    assert.matches("ok directory: d1 TWO answers in %d+ ms", text)
  end)

  it("gives up in time on what never answers", function()
    faults.start()
    finally(faults.stop)
    local deaf = collegedb.gateway { url = faults.origin "deaf", token = "t", deadline = 0.5 }
    local given = config()
    collegedb.open(given):close()
    given.shards[3] = { name = "deaf", deaf:shard "DB" }
    local began = core.now()
    local text, report = said(given)
    assert.matches("ok one: .*\nfault deaf: .*deadline", text)
    given.kv = deaf:coordinator()
    text = said(given)
    assert.matches("fault directory: ", text)
    assert.is_false(report.success)
    local reader = status.new(normalize(given))
    local read = reader:read()
    reader:close()
    assert.is_false(read.healthy)
    assert.same({ "open", "unreachable" }, { read.shards[1].state, read.shards[3].state })
    assert.is_true(core.now() - began < 30000)
  end)

  it("does not wait for what is not there, and tells the rest", function()
    local nobody = collegedb.d1 { database = "x", endpoint = "http://127.0.0.1:1", deadline = 1 }
    local given = config()
    collegedb.open(given):close()
    local gone = collegedb.gateway { url = "http://127.0.0.1:1", token = "t", deadline = 1 }
    for i = 1, 5 do given.shards[#given.shards + 1] = { name = "gone" .. i, gone:shard("DB" .. i) } end
    given.shards[#given.shards + 1] = { name = "rest", nobody }
    local began = core.now()
    local text, report = said(given)
    assert.is_true(core.now() - began < 25000)
    assert.is_false(report.success)
    assert.matches("ok one: ", text)
    assert.matches("fault gone5: ", text)
    assert.matches("fault rest: ", text)
    assert.matches('"about":"file","state":"ok"', json.encode(report))
  end)
end)
