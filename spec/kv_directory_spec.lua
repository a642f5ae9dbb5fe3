-- What every directory does alike, of a file and in a table KV; and what a directory in a table KV does when another
-- one writes in the middle of its work.

local collegedb = require "collegedb"
local directory = require "collegedb.directory"
local fixture = require "spec.support.fixture"
local table_kv = require "spec.support.table_kv"

local function open(kv, secret, options) return fixture.track(directory.open(kv, secret, options)) end

-- Registers shards, and returns their ids.
local function shards(dir, ...)
  local names, ids = { ... }, {}
  dir:change(function(tx)
    for i, name in ipairs(names) do
      ids[i] = tx:run("INSERT INTO _collegedb_shards (name, integrated) VALUES (?, 1)", { name }).meta.last_row_id
    end
    return true
  end)
  return table.unpack(ids)
end

local function is_integrated(dir, id)
  return dir.shard:first("SELECT integrated FROM _collegedb_shards WHERE id = ?", { id }).integrated == 1
end

-- `make` opens the same directory each time.
local function behaves(make)
  local dir, a, b
  before_each(function()
    dir = make()
    a, b = shards(dir, "a", "b")
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
    local c = shards(other, "c")
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

describe("a directory", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  describe("in a file", function()
    behaves(function(secret) return open(fixture.path "directory.db", secret) end)
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
end)

describe("a directory in a table KV, written by two at once,", function()
  local kv, dir, other, a, b

  before_each(function()
    fixture.start()
    kv = table_kv.memory()
    dir, other = open(kv), open(kv)
    a, b = shards(dir, "a", "b")
    other:epoch()
  end)
  after_each(fixture.stop)

  -- Runs `f` once, just before the n-th call of `name` on a key that begins with `prefix`.
  local function before(name, prefix, f, n)
    local seen = 0
    kv.on = function(called, key)
      if called ~= name or key:sub(1, #prefix) ~= prefix then return end
      seen = seen + 1
      if seen == (n or 1) then f() end
    end
  end

  it("has one winner of a key, whoever is between look and writing", function()
    local epoch = dir:epoch()
    before("compare_and_set", "shard:", function() assert.equal(b, (other:claim("", "k", b, epoch))) end)
    assert.equal(b, (dir:claim("", "k", a, epoch)))
    assert.same({ epoch, b, 1 }, { dir:lookup("", "k") })
  end)

  it("asks to decide again when the epoch changes under a claim, and the next decision finds the entry", function()
    local epoch = dir:epoch()
    before("compare_and_set", "shard:", function() other:change(function() return true end) end)
    assert.is_nil(dir:claim("", "k", a, epoch))
    assert.same({ epoch + 1, a, 1 }, { dir:lookup("", "k") })
    assert.equal(a, (dir:claim("", "k", b, epoch + 1)))
  end)

  it("does not count a claim that was decided before all entries were discarded", function()
    local epoch = dir:epoch()
    dir:claim("", "first", b, epoch)
    before("compare_and_set", "shard:", function() other:discard() end)
    assert.is_nil(dir:claim("", "k", a, epoch))
    assert.same({ epoch + 1 }, { dir:lookup("", "k") })
    assert.equal(b, (dir:claim("", "k", b, epoch + 1)))
    assert.same({ epoch + 1, b, 1 }, { other:lookup("", "k") })
  end)

  it("takes no claim away that replaces an entry just being removed", function()
    local epoch = dir:epoch()
    dir:claim("", "k", a, epoch)
    before("compare_and_set", "collegedb:record", function() other:replace("", "k", 1, b) end)
    assert.is_true(dir:forget("", "k")) -- the entry that the other has written
    assert.is_false(is_integrated(dir, b))
    assert.same({ dir:epoch() }, { dir:lookup("", "k") })
    -- The value is not deleted under others, who could just be writing it.
    for name, value in pairs(kv.data) do
      if name:find "^shard:" then assert.equal("null", value) end
    end
    other:close()
    dir:claim("", "l", b, dir:epoch())
    dir:discard()
    for name in pairs(kv.data) do assert.is_nil(name:find "^shard:") end
  end)

  it("never has an integrated shard whose keys were just removed", function()
    local function integrate()
      other:note("", "k", a, other:epoch())
      other:change(function(tx) return tx:run("UPDATE _collegedb_shards SET integrated = 1").meta.changes > 0 end)
    end
    for _, remove in ipairs { dir.forget, dir.discard } do
      for _, value in ipairs { "collegedb:record", "shard:" } do
        for n = 1, 2 do
          dir:claim("", "k", a, dir:epoch())
          before("compare_and_set", value, integrate, n)
          if remove == dir.forget then dir:forget("", "k") else dir:discard() end
          kv.on = nil
          local _, id = dir:lookup("", "k")
          assert.is_true(id == a or not is_integrated(dir, a))
        end
      end
    end
  end)

  it("reads entry and epoch of one moment", function()
    local epoch = dir:epoch()
    before("get", "shard:", function()
      other:claim("", "k", b, epoch)
      other:change(function() return true end)
      kv.on = nil
    end)
    assert.same({ epoch + 1, b, 1 }, { dir:lookup("", "k") })
    before("get", "collegedb:record", function()
      kv.on = nil
      other:forget("", "k")
    end)
    assert.same({ epoch + 2 }, { dir:lookup("", "k") })
  end)

  it("loses no change of the record, no turn and no name", function()
    local turns = 0
    before("compare_and_set", "collegedb:record", function() shards(other, "c") end)
    local d = shards(dir, "d")
    assert.same({ "a", "b", "c", "d" }, { dir:name_of(a), dir:name_of(b), other:name_of(3), dir:name_of(d) })
    before("compare_and_set", "collegedb:turn:", function() turns = turns + other:count_on("x", 1) end)
    assert.equal(1, dir:count_on("x", 1))
    assert.equal(0, turns)
    before("compare_and_set", "known_shards", function() other:add_names { "e" } end)
    dir:add_names { "f" }
    assert.same({ "e", "f" }, other:names())
    assert.equal('["a","b","c","d","e","f"]', kv.data.known_shards)
  end)

  it("waits for nobody for ever", function()
    local epoch = dir:epoch()
    kv.compare_and_set = function() return false end
    local sleep = dir.store.pause
    getmetatable(dir.store).__index.pause = function() end
    fixture.raises("BUSY", nil, dir.claim, dir, "", "k", a, epoch)
    fixture.raises("BUSY", nil, dir.replace, dir, "", "k", nil, a)
    fixture.raises("BUSY", "record", dir.change, dir, function() return true end)
    fixture.raises("BUSY", nil, dir.count_on, dir, "x", 1)
    fixture.raises("BUSY", "known_shards", dir.add_names, dir, { "x" })
    fixture.raises("BUSY", "collegedb:users", collegedb.KVShardMapper, kv)
    getmetatable(dir.store).__index.pause = sleep
    assert.equal(epoch, dir:epoch())
  end)

  it("raises UNAVAILABLE when the record is gone or another one", function()
    local kept = kv.data["collegedb:record"]
    kv.data["collegedb:record"] = nil
    fixture.raises("UNAVAILABLE", "deleted or replaced", dir.lookup, dir, "", "k")
    fixture.raises("UNAVAILABLE", "deleted or replaced", dir.change, dir, function() return true end)
    assert.is_nil(kv.data["collegedb:record"])
    local fresh = open(kv)
    fixture.raises("UNAVAILABLE", "deleted or replaced", dir.lookup, dir, "", "k")
    fixture.raises("UNAVAILABLE", "deleted or replaced", dir.epoch, dir)
    fresh:close()
    kv.data["collegedb:record"] = kept
    dir:lookup("", "k")
  end)

  it("passes over users whose process has ended, and only those", function()
    other:close()
    local json = require "cjson"
    local list = json.decode(kv.data["collegedb:users"])
    local id, user = next(list.users)
    local function add(fields)
      local copy = {}
      for field, value in pairs(user) do copy[field] = value end
      for field, value in pairs(fields) do copy[field] = value end
      kv.data["collegedb:users"] = json.encode { users = { [id] = user, other = copy }, alone = "other" }
    end
    add { pid = "1" }                      -- not the process that has this number now
    assert.is_true(dir:alone(function() end))
    add { state = "another Lua state" }    -- in this process, and not to be seen from here
    assert.is_false(dir:alone(function() end))
    add { boot = "another machine" }
    assert.is_false(dir:alone(function() end))
    kv.data["collegedb:users"] = nil       -- by hand
    assert.is_true(dir:alone(function() end))
    kv.data["collegedb:users"] = '{"users":{"x":7}}'
    fixture.raises("CORRUPT", "collegedb:users", dir.alone, dir, function() end)
  end)

  it("does not count an instance that was collected without being closed", function()
    other:close()
    do
      local lost = directory.open(kv)
      assert.is_false(dir:alone(function() end))
      lost.store = nil
    end
    collectgarbage()
    collectgarbage()
    assert.is_true(dir:alone(function() end))
  end)
end)
