-- What every directory does alike: in a file, in a table KV, and on a shard that has no transactions over several
-- statements, of which Cloudflare's D1 is one.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local directory = require "collegedb.directory"
local engine = require "spec.support.engine"
local calls = require "spec.support.directory_calls"
local fixture = require "spec.support.fixture"
local gateway = require "spec.support.gateway"
local json = require "collegedb.json"
local net = require "collegedb.net"
local table_kv = require "spec.support.table_kv"

local function open(kv, secret, options) return fixture.track(directory.open(kv, secret, options)) end

local function is_integrated(dir, id)
  return dir.shard:first("SELECT integrated FROM _collegedb_shards WHERE id = ?", { id }).integrated == 1
end

-- `make` opens the same directory each time.
local function behaves(make)
  local dir, a, b
  before_each(function()
    dir = make()
    a, b = calls.shards(dir, "a", "b")
  end)

  it("gives a key to whoever comes first, in the epoch that was named", function()
    local epoch = dir:epoch()
    assert.same({ epoch }, { dir:lookup("", "k") })
    assert.equal(a, (dir:claim("", "k", a, epoch)))
    assert.equal(a, (dir:claim("", "k", b, epoch)))
    assert.same({ epoch, a, 1 }, { dir:lookup("", "k") })
    assert.is_nil(dir:claim("", "other", a, epoch - 1))
    assert.is_nil(dir:claim("", "k", a, epoch + 1))
    assert.same({ epoch }, { dir:lookup("", "other") })
    assert.same({ [a] = 1 }, dir:counts())
  end)

  it("keeps keys of keyspaces apart", function()
    local epoch = dir:epoch()
    local keys = { { "", "17" }, { "users", "17" }, { "posts", "17" }, { "t\0posts", "17" }, { "use", "rs17" },
      { "", "users17" }, { "", "5:users:17" } }
    for i, key in ipairs(keys) do dir:claim(key[1], key[2], i % 2 == 0 and a or b, epoch) end
    for i, key in ipairs(keys) do
      assert.same({ epoch, i % 2 == 0 and a or b, 1 }, { dir:lookup(key[1], key[2]) })
    end
  end)

  it("replaces the entry whose version is known", function()
    assert.is_false(dir:replace("", "k", 1, a))
    assert.is_true(dir:replace("", "k", nil, a))
    assert.is_false(dir:replace("", "k", nil, b))
    assert.is_true(dir:replace("", "k", 1, b))
    assert.is_false(dir:replace("", "k", 1, a))
    assert.same({ dir:epoch(), b, 2 }, { dir:lookup("", "k") })
  end)

  it("assigns keys, all or only new ones", function()
    local list = { { keyspace = "", text = "x", id = a }, { keyspace = "posts", text = "1", id = a } }
    assert.equal(2, dir:assign(list, true))
    list[3] = { keyspace = "", text = "y", id = b }
    assert.equal(1, dir:assign(list, true))
    assert.equal(3, dir:assign(list, false))
    assert.same({ dir:epoch(), a, 2 }, { dir:lookup("", "x") })
    assert.same({ [a] = 2, [b] = 1 }, dir:counts())
  end)

  it("forgets a key, whose shard is probed from then on", function()
    local epoch = dir:epoch()
    dir:claim("", "k", a, epoch)
    assert.is_true(dir:forget("", "k"))
    assert.is_false(dir:forget("", "k"))
    assert.same({ epoch + 1 }, { dir:lookup("", "k") })
    assert.is_false(is_integrated(dir, a))
    assert.is_true(is_integrated(dir, b))
    assert.equal(b, (dir:claim("", "k", b, epoch + 1)))
    assert.same({ epoch + 1, b, 1 }, { dir:lookup("", "k") })
  end)

  it("discards all entries", function()
    local epoch = dir:epoch()
    for i = 1, 25 do dir:claim("", "k" .. i, i % 2 == 0 and a or b, epoch) end
    assert.equal(25, dir:discard())
    assert.same({}, dir:counts())
    assert.equal(0, dir:discard())
    assert.same({ epoch + 1 }, { dir:lookup("", "k1") })
    assert.is_false(is_integrated(dir, a) or is_integrated(dir, b))
    assert.equal(a, (dir:claim("", "k1", a, epoch + 1)))
  end)

  it("changes its record whole or not at all", function()
    local epoch = dir:epoch()
    assert.is_false(dir:change(function() return false end))
    assert.equal(epoch, dir:epoch())
    local done, err = pcall(dir.change, dir, function(tx)
      tx:run "UPDATE _collegedb_shards SET name = 'z'  WHERE name = 'a'"
      error({}, 0)
    end)
    assert.is_false(done)
    assert.is_table(err)
    assert.is_true(dir:knows "a")
    assert.is_false(dir:knows "z")
    assert.equal("a", dir:name_of(a))
    assert.is_nil(dir:name_of(99))
    assert.is_true(dir:change(function() return true end))
    assert.equal(epoch + 1, dir:epoch())
  end)

  it("counts turns across instances", function()
    local other = make()
    assert.equal(0, dir:count_on("x", 0))
    assert.equal(0, dir:count_on("x", 1))
    assert.equal(1, other:count_on("x", 5))
    assert.equal(6, dir:count_on("x", 0))
    assert.equal(0, dir:count_on("y", 1))
  end)

  it("shows one instance what another has written", function()
    local other, epoch = make(), dir:epoch()
    dir:claim("", "k", a, epoch)
    assert.equal(a, (other:claim("", "k", b, epoch)))
    local c = calls.shards(other, "c")
    assert.same({ epoch + 1, a, 1 }, { dir:lookup("", "k") })
    assert.equal("c", dir:name_of(c))
    assert.is_nil(dir:claim("", "new", b, epoch))
    other:add_names { "d" }
    assert.same({ "d" }, dir:names())
    dir:set_names { "e", "a" }
    assert.same({ "e" }, other:names())
  end)

  it("knows whether it is alone", function()
    local ran = 0
    assert.is_true(dir:alone(function() ran = ran + 1 end))
    local other = make()
    assert.is_false(dir:alone(function() ran = ran + 1 end))
    other:close()
    assert.is_true(dir:alone(function() ran = ran + 1 end))
    assert.equal(2, ran)
    fixture.raises("FULL", nil, dir.alone, dir, function()
      require("collegedb.errors").raise("FULL", nil, "x")
    end)
    assert.is_true(dir:alone(function() end))
  end)

  it("is refused with another secret", function()
    fixture.raises("CONFIG", "mapping_secret", make, "s")
  end)
end


-- What only those do by which keys are moved.
local function keeps_a_journal(make)
  local dir, a, b
  before_each(function()
    dir = make()
    a, b = calls.shards(dir, "a", "b")
  end)

  local function place(dir_, family)
    dir_:change(function(tx)
      tx:run("INSERT INTO _collegedb_placements (family) VALUES (?)", { family or "hash" })
      return true
    end)
  end

  it("publishes where keys have moved, unless a later move has", function()
    dir:publish("", { "x", "y" }, a, 5)
    assert.same({ dir:epoch(), a, 5 }, { dir:lookup("", "x") })
    dir:publish_all { { keyspace = "", text = "x", id = b, version = 4 },
      { keyspace = "", text = "y", id = b, version = 6 }, { keyspace = "users", text = "1", id = b, version = 7 } }
    assert.same({ dir:epoch(), a, 5 }, { dir:lookup("", "x") })
    assert.same({ dir:epoch(), b, 6 }, { dir:lookup("", "y") })
    assert.same({ dir:epoch(), b, 7 }, { dir:lookup("users", "1") })
    dir:publish("", { "x", "z" }, b, 8, nil, true) -- at home: no entry is made
    assert.same({ dir:epoch(), b, 8 }, { dir:lookup("", "x") })
    assert.same({ dir:epoch() }, { dir:lookup("", "z") })
    local many = {}
    for i = 1, 25000 do many[i] = "m" .. i end
    dir:publish("", many, a, 9)
    assert.same({ [a] = 25000, [b] = 3 }, dir:counts())
  end)

  it("lets no entry name a shard that was closed", function()
    dir:claim("", "k", a, dir:epoch())
    dir:change(function(tx)
      tx:run("UPDATE _collegedb_shards SET drained = 2 WHERE id = ?", { b })
      dir:drop(tx, a)
      return true
    end)
    assert.same({}, dir:counts())
    dir:publish("", { "k" }, b, 3)
    dir:claim("", "k", a, dir:epoch())
    assert.is_false(dir:correct("", "k", 1, b))
    assert.is_true(dir:correct("", "k", 1, a))
    assert.same({ dir:epoch(), a, 1 }, { dir:lookup("", "k") })
  end)

  it("ends the entries that were found in a shard's data", function()
    local epoch = dir:epoch()
    dir:claim("", "claimed", a, epoch)
    dir:publish_all { { keyspace = "", text = "found", id = a, version = 0 },
      { keyspace = "", text = "other", id = b, version = 0 } }
    assert.equal(1, dir:count_found(a))
    assert.equal(1, dir:discard(a))
    assert.same({ [a] = 1, [b] = 1 }, dir:counts())
    assert.is_false(is_integrated(dir, a))
    assert.is_true(is_integrated(dir, b))
    assert.equal(0, dir:discard(a))
  end)

  it("numbers moves above all that their keys have seen", function()
    local function begin(floor, digests, epoch)
      return dir:begin_move { keyspace = "", digests = digests, source = a, target = b, epoch = epoch or dir:epoch(),
        floor = floor, lease = 60 }
    end
    local x = dir:digests("", { "x" })
    local first = begin(1, x)
    assert.equal(first + 1, begin(1, x))
    assert.equal(101, begin(100, x))
    dir:publish("", { "x" }, a, 500)
    assert.equal(102, begin(1, dir:digests("", { "y" })))
    assert.is_true(begin(1, x) > 500)
    assert.is_nil(begin(1, x, dir:epoch() + 1))
    assert.equal(5, dir.journal:first("SELECT count(*) AS n FROM _collegedb_moves WHERE lease > unixepoch() + 50").n)
  end)

  it("gives a piece of work to one", function()
    local other = make()
    assert.is_true(dir:claim_work(7))
    assert.is_false(other:claim_work(7))
    assert.is_true(other:claim_work(8))
    dir:release_work(7)
    assert.is_true(other:claim_work(7))
    other:close()
    assert.is_true(dir:claim_work(7))
  end)

  it("knows who works in an earlier placement", function()
    local other, ran = make(), 0
    local function count() ran = ran + 1 end
    place(dir)
    assert.is_true(dir:work_in(1))
    assert.is_true(other:work_in(1))
    place(dir)
    assert.is_true(dir:work_in(2))
    assert.is_false(dir:without_workers(1, 1, count))
    assert.is_true(other:work_in(2))
    assert.is_true(dir:without_workers(1, 1, count))
    place(other)
    assert.is_true(other:work_in(3))
    dir:close()
    assert.is_true(other:without_workers(1, 2, count))
    assert.equal(2, ran)
  end)

  it("spends a turn together with a claim", function()
    local epoch = dir:epoch()
    local function claim(text, id, first)
      local turns <close> = dir:turns()
      local turn = turns:take "t"
      if first then first() end
      return turns:claim("", text, id, epoch), turn
    end
    assert.same({ a, 0 }, { claim("x", a) })
    assert.same({ [2] = 1 }, { [2] = select(2, claim("x", b)) })
    assert.same({ b, 1 }, { claim("y", b) })
    assert.equal(2, dir:count_on("t", 0))
    do
      local turns <close> = dir:turns()
      assert.equal(2, turns:take "t")
      assert.equal(3, turns:take "t")
    end
    assert.equal(2, dir:count_on("t", 0))
    assert.same({ epoch, a, 1 }, { dir:lookup("", "x") })
  end)
end

-- By a handle of its own: with the last one connections end.
local function wipe(d1)
  local handle = d1:open "wipe"
  for _, row in ipairs(handle:all "SELECT name, type FROM sqlite_schema WHERE substr(name, 1, 10) = '_collegedb'") do
    if row.type == "table" or row.type == "view" then handle:run(("DROP %s %s"):format(row.type, row.name)) end
  end
  core.close(handle)
end

describe("a directory", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  describe("in a file", function()
    local function make(secret) return open(fixture.path "directory.db", secret) end
    describe("as every one", function() behaves(make) end)
    describe("as one with a journal", function() keeps_a_journal(make) end)
  end)

  for _, kind in ipairs {
    { "in a table KV" }, { "in a table KV without compare_and_set", atomic = false },
    { "in a table KV with plain keys", hash_shard_mappings = false },
    { "in a table KV with small pages", page = 3 },
  } do
    describe(kind[1], function()
      local kv
      before_each(function()
        kv = table_kv.memory({}, kind.atomic)
        kv.page = kind.page
      end)
      behaves(function(secret) return open(kv, secret, { hash_shard_mappings = kind.hash_shard_mappings }) end)
    end)
  end

  describe("on a shard that takes one statement at a time", function()
    local function make(secret) return open(fixture.single "directory.db", secret) end
    describe("as every one", function() behaves(make) end)
    describe("as one with a journal", function() keeps_a_journal(make) end)
  end)
end)

describe("a directory on D1", function()
  if engine.skips(it, function(why) pending(why) end) then return end

  local d1
  setup(function()
    local endpoint, names = engine.start(1)
    d1 = collegedb.d1 { database = names[1], endpoint = endpoint }
  end)
  teardown(function()
    net.close()
    engine.stop()
  end)

  before_each(fixture.start)
  before_each(function() wipe(d1) end)
  after_each(fixture.stop)

  local function make(secret) return open(d1, secret) end
  describe("as every one", function() behaves(make) end)
  describe("as one with a journal", function() keeps_a_journal(make) end)
end)

describe("a directory of the coordinator", function()
  if gateway.skips(it, function(why) pending(why) end) then return end

  local served, value
  setup(function()
    served = gateway.start { vars = { COLLEGEDB_DEVELOPMENT = "true" } }
    value = collegedb.gateway({ url = served.url, token = gateway.token }):coordinator()
  end)
  teardown(function()
    net.close()
    served.stop()
  end)

  before_each(fixture.start)
  before_each(function() value:ask("flush", json.object {}) end)
  after_each(function()
    net.close()
    fixture.stop()
  end)

  local function make(secret) return open(value, secret) end
  describe("as every one", function() behaves(make) end)
  describe("as one with a journal", function() keeps_a_journal(make) end)
end)
