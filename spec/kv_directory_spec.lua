-- What a directory in a table KV does when another one writes in the middle of its work. What every directory does
-- alike is in spec/directory_conformance_spec.lua.

local collegedb = require "collegedb"
local directory = require "collegedb.directory"
local calls = require "spec.support.directory_calls"
local fixture = require "spec.support.fixture"
local table_kv = require "spec.support.table_kv"

local function open(kv, secret, options) return fixture.track(directory.open(kv, secret, options)) end

local function is_integrated(dir, id)
  return dir.shard:first("SELECT integrated FROM _collegedb_shards WHERE id = ?", { id }).integrated == 1
end

describe("a directory in a table KV, written by two at once,", function()
  local kv, dir, other, a, b

  before_each(function()
    fixture.start()
    kv = table_kv.memory()
    dir, other = open(kv), open(kv)
    a, b = calls.shards(dir, "a", "b")
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
    before("compare_and_set", "collegedb:record", function() calls.shards(other, "c") end)
    local d = calls.shards(dir, "d")
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
