-- Entries that are published to Workers KV, and those of others that are followed; on Cloudflare's own engine.

local collegedb = require "collegedb"
local core = require "collegedb.core"
local faults = require "spec.support.faults"
local fixture = require "spec.support.fixture"
local net = require "collegedb.net"
local neighbour = require "spec.support.neighbour"
local reader = require "collegedb.json_reader"

local raises = fixture.raises

local function hash(text) return (core.sha256(text):gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end

for _, kind in ipairs { "a directory in a file", "a directory that takes a statement at a time" } do
  describe("publishing to Workers KV, from " .. kind, function()
    local other, kv, events, opened
    local slow = kind == "a directory in a file" and it or function() end -- the directory has no part in it

    if neighbour.skips(it, function(why) pending(why) end) then return end

    setup(function()
      other = neighbour.start()
      kv = collegedb.cloudflare_kv(other:namespace())
    end)

    teardown(function() other:stop() end)

    local function clear()
      other:control {}
      repeat
        local names, cursor = kv:list ""
        kv:delete_many(names)
      until not cursor
    end

    before_each(function()
      clear()
      net.close()
      fixture.start()
      events, opened = {}, {}
    end)

    after_each(function()
      for _, db in ipairs(opened) do db:close() end
      net.close()
      fixture.stop()
    end)

    local function open(more)
      local given = fixture.config({}, { "one", "two", "three" })
      if kind == "a directory that takes a statement at a time" then given.kv = fixture.single "directory.db" end
      given.publish, given.strategy = kv, "round_robin"
      given.on_event = function(event) events[#events + 1] = event end
      for name, value in pairs(more or {}) do given[name] = value end
      local db = fixture.open(given)
      opened[#opened + 1] = db
      db:ensure_schema "CREATE TABLE IF NOT EXISTS people (name TEXT PRIMARY KEY, age INTEGER)"
      return db
    end

    local function insert(db, name) return db:insert(name, "INSERT INTO people VALUES (?, 1)", { name }) end
    local function published(key)
      local raw = kv:get("shard:" .. hash(key))
      return raw and reader.decode(raw)
    end
    local function count(event)
      local n = 0
      for _, each in ipairs(events) do n = n + (each.event == event and 1 or 0) end
      return n
    end

    it("writes what the TypeScript library would", function()
      local db = open()
      insert(db, "Ada")
      local raw = kv:get("shard:" .. hash "Ada")
      assert.matches('^{"shard":"one","createdAt":%d+,"updatedAt":%d+}$', raw)
      assert.is_true(math.abs(published("Ada").createdAt / 1000 - os.time()) < 10)
      assert.same({ "one", "two", "three" }, reader.decode(kv:get "known_shards"))
    end)

    it("asks and writes nothing for keys that are known", function()
      local db = open()
      insert(db, "Ada")
      other:control {}
      for _ = 1, 10 do db:first("Ada", "SELECT * FROM people WHERE name = ?", { "Ada" }) end
      db:run("Ada", "UPDATE people SET age = 2 WHERE name = 'Ada'")
      assert.equal(0, (other:control {}))
      db:flush_cache()
      db:first("Ada", "SELECT * FROM people WHERE name = ?", { "Ada" })
      assert.equal(0, (other:control {}))
      insert(db, "Bob")
      assert.equal(2, (other:control {})) -- is it there? and then it is
    end)

    it("keeps when an entry was made", function()
      local db = open()
      insert(db, "Ada")
      local entry = published "Ada"
      kv:put("shard:" .. hash "Ada", '{"shard":"one","createdAt":17,"updatedAt":17,"more":true}')
      db:reassign_shard("Ada", "three")
      local now = published "Ada"
      assert.equal("three", now.shard)
      assert.equal(17, now.createdAt)
      assert.is_true(now.more)
      assert.is_true(now.updatedAt >= entry.updatedAt)
    end)

    it("follows a mapping of another program, and all agree from then on", function()
      local db = open()
      kv:put("shard:" .. hash "Ada", '{"shard":"two","createdAt":17,"updatedAt":17}')
      kv:put("multikey:" .. hash "Bob", ('{"shard":"three","createdAt":17,"updatedAt":17,"keys":["%s","%s"]}'):format(
        hash "Bob", hash "bob@example.com"))
      kv:put("shard:" .. hash "bob@example.com", '{"shard":"three","createdAt":17,"updatedAt":17}')
      db:shard "three":run "INSERT INTO people VALUES ('Bob', 7)"
      assert.is_nil(db:first("Ada", "SELECT * FROM people WHERE name = 'Ada'"))
      assert.equal("two", (db:locate "Ada"))
      insert(db, "Ada")
      assert.equal(1, db:shard "two":first("SELECT count(*) AS n FROM people").n)
      assert.equal(7, db:first("Bob", "SELECT * FROM people WHERE name = 'Bob'").age)
      assert.equal(7, db:first("bob@example.com", "SELECT * FROM people WHERE name = 'Bob'").age)
      assert.equal("three", db:mapper():get_shard_mapping("Bob").shard)
      other:control {}
      for _ = 1, 10 do db:first("bob@example.com", "SELECT * FROM people WHERE name = 'Bob'") end
      assert.equal(0, (other:control { down = true }))
      local second = open()
      assert.equal("two", (second:locate "Ada"))
      assert.equal(7, second:first("Bob", "SELECT * FROM people WHERE name = 'Bob'").age)
    end)

    it("moves all names of a key", function()
      local db = open()
      local forms = { hash "Bob", hash "bob@example.com" }
      kv:put("multikey:" .. forms[1], ('{"shard":"three","createdAt":17,"updatedAt":17,"keys":["%s","%s"]}'):format(
        forms[1], forms[2]))
      for _, form in ipairs(forms) do kv:put("shard:" .. form, '{"shard":"three","createdAt":17,"updatedAt":17}') end
      db:shard "three":run "INSERT INTO people VALUES ('Bob', 7)"
      db:reassign_shard("Bob", "one")
      for _, form in ipairs(forms) do
        local entry = reader.decode(kv:get("shard:" .. form))
        assert.equal("one", entry.shard)
        assert.equal(17, entry.createdAt)
      end
      local multi = reader.decode(kv:get("multikey:" .. forms[1]))
      assert.equal("one", multi.shard)
      assert.same(forms, multi.keys)
      assert.equal(7, db:first("bob@example.com", "SELECT * FROM people WHERE name = 'Bob'").age)
    end)

    it("names a shard that only the other program has", function()
      local db = open()
      kv:put("shard:" .. hash "Ada", '{"shard":"four","createdAt":17,"updatedAt":17}')
      raises("SHARD_NOT_FOUND", "four", function() insert(db, "Ada") end)
      kv:put("shard:" .. hash "Bob", '{"shard":17}')
      raises("CORRUPT", "names no shard", function() insert(db, "Bob") end)
    end)

    it("publishes what the mapper says", function()
      local db = open()
      local mapper = db:mapper()
      mapper:set_shard_mapping("Ada", "two")
      mapper:set_shard_mappings_batch { { "Bob", "one" }, { "Cleo", "three" } }
      assert.equal("two", published("Ada").shard)
      assert.equal("three", published("Cleo").shard)
      mapper:update_shard_mapping("Ada", "one")
      assert.equal("one", published("Ada").shard)
      mapper:delete_shard_mapping "Ada"
      assert.is_nil(published "Ada")
      mapper:clear_all_mappings()
      assert.is_nil(published "Bob")
      assert.is_nil(published "Cleo")
    end)

    it("publishes what is taken over, and nothing over what others say", function()
      fixture.sqlite("one.db", [[CREATE TABLE people (name TEXT PRIMARY KEY, age INTEGER);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
        INSERT INTO people SELECT 'p' || i, i FROM n]])
      kv:put("shard:" .. hash "p7", '{"shard":"two","createdAt":17,"updatedAt":17}')
      local db = open { auto_migrate = true }
      assert.equal("one", published("p1").shard)
      assert.equal("one", published("p300").shard)
      assert.equal("two", published("p7").shard)
      assert.equal(1, count "disagreement")
      local report = db:verify {}
      assert.is_false(report.success)
      assert.equal(1, report.counts.unpublished)
      assert.equal("two", report.findings[1].other_shard)
      db:verify { repair = true }
      assert.equal("one", published("p7").shard)
      assert.is_true(db:verify({}).success)
    end)

    it("publishes only what is not at home, where that is enough", function()
      local db = open { strategy = "hash" }
      insert(db, "Ada")
      assert.is_nil(published "Ada")
      local home = db:locate "Ada"
      local away = home == "one" and "two" or "one"
      db:reassign_shard("Ada", away)
      assert.equal(away, published("Ada").shard)
      db:reassign_shard("Ada", home)
      assert.equal(home, published("Ada").shard)
      assert.is_true(db:verify({}).success)
    end)

    it("publishes every key of a full directory", function()
      local db = open { strategy = "hash", directory = "full" }
      for i = 1, 20 do insert(db, "p" .. i) end
      for i = 1, 20 do assert.equal(db:locate("p" .. i), published("p" .. i).shard) end
    end)

    slow("loses no decision while KV is away, and writes it over nothing that came meanwhile", function()
      local db = open()
      other:control { deny = true }
      insert(db, "Ada")
      insert(db, "Emil") -- by now it is not tried for a while
      assert.equal(1, count "unpublished")
      assert.equal("one", (db:locate "Ada"))
      assert.is_nil(published "Ada")
      assert.is_nil(published "Emil")
      other:control {}
      kv:put("shard:" .. hash "Emil", '{"shard":"three","createdAt":17,"updatedAt":17}')
      core.pause(2200) -- a second at least
      insert(db, "Bob")
      assert.equal("one", published("Ada").shard)
      assert.equal("three", published("Bob").shard)
      assert.equal(1, count "published")
      assert.equal(1, count "disagreement")
      assert.equal("three", published("Emil").shard)
      assert.equal("two", (db:locate "Emil"))
      assert.equal(1, db:verify({}).counts.unpublished)
      db:publish()
      assert.equal("two", published("Emil").shard)
    end)

    slow("forgets nothing of what waits when a part of it fails", function()
      other:control { fail = { known_shards = 1000 } }
      local mapper = open():mapper()
      mapper:set_shard_mapping("Ada", "two") -- has no rows: only what waits tells of it
      other:control { fail = { ["shard:" .. hash "Ada"] = 1000 } }
      kv:put("shard:" .. hash "Bob", '{"shard":"three","createdAt":17,"updatedAt":17}')
      mapper:set_shard_mapping("Bob", "one")
      mapper:delete_shard_mapping "Bob"
      mapper:set_shard_mapping("Cleo", "one")
      raises("UNAVAILABLE", "1 of 2 keys", opened[1].publish, opened[1])
      assert.equal("one", published("Cleo").shard)
      other:control {}
      opened[1]:publish()
      assert.equal("two", published("Ada").shard)
      assert.is_nil(published "Bob")
      assert.is_string(kv:get "known_shards")
    end)

    slow("writes where a key is by then", function()
      local db = open()
      other:control { deny = true }
      insert(db, "Ada")
      other:control {}
      db:reassign_shard("Ada", "three")
      db:publish()
      assert.equal("three", published("Ada").shard)
    end)

    it("asks KV before a new key gets its place, and says so when it can not", function()
      local db = open()
      insert(db, "Ada")
      other:control { down = true }
      local err = raises("UNAVAILABLE", nil, function() insert(db, "Bob") end)
      assert.is_true(err.retryable)
      assert.equal(1, db:first("Ada", "SELECT * FROM people").age)
      other:control {}
      insert(db, "Bob")
      assert.equal("two", published("Bob").shard)
    end)

    it("brings KV up to date after a crash", function()
      local db = open()
      local claim = db:mapper()
      insert(db, "Ada")
      insert(db, "Bob")
      kv:delete("shard:" .. hash "Ada") -- as if it had ended before
      kv:delete "known_shards"
      kv:put("shard:" .. hash "Bob", '{"shard":"three","createdAt":17,"updatedAt":17}')
      assert.same({ keys = 2, written = 2 }, db:publish())
      assert.equal(claim:get_shard_mapping("Ada").shard, published("Ada").shard)
      assert.equal("two", published("Bob").shard)
      assert.equal(17, published("Bob").createdAt)
      assert.is_string(kv:get "known_shards")
      assert.same({ keys = 2, written = 0 }, db:publish())
    end)

    it("does not believe what is old against rows that are there", function()
      local db = open { strategy = "hash" }
      insert(db, "Ada")
      local home = db:locate "Ada"
      kv:put("shard:" .. hash "Ada", ('{"shard":"%s","createdAt":17,"updatedAt":17}'):format(home == "one" and "two"
        or "one"))
      db:flush_cache()
      core.pause(2200) -- a second at least
      assert.equal(1, db:first("Ada", "SELECT * FROM people WHERE name = 'Ada'").age)
      assert.equal(1, count "disagreement")
      assert.equal(1, db:verify({}).counts.unpublished)
    end)

    it("does not believe it against rows that were not taken over either", function()
      fixture.sqlite("two.db",
        "CREATE TABLE people (name TEXT PRIMARY KEY, age INTEGER); INSERT INTO people VALUES ('Ada', 7)")
      kv:put("shard:" .. hash "Ada", '{"shard":"three","createdAt":17,"updatedAt":17}')
      local db = open { auto_migrate = false }
      assert.equal(7, db:first("Ada", "SELECT * FROM people WHERE name = 'Ada'").age)
      assert.equal(1, count "disagreement")
    end)

    it("names keys as they are, if that is wanted", function()
      local db = open { hash_shard_mappings = false }
      insert(db, "Ada")
      local entry = reader.decode(kv:get "shard:Ada")
      assert.equal("Ada", entry.originalKey)
      insert(db, "\xff")
      assert.equal(1, count "unpublished")
      assert.equal(1, db:first("\xff", "SELECT age FROM people WHERE name = ?", { "\xff" }).age)
      insert(db, ("x"):rep(512))
      assert.equal(1, count "unpublished")
    end)

    it("tells what is wrong with KV", function()
      local doctor = require "collegedb.doctor"
      local given = fixture.config({ publish = kv }, { "one" })
      local function about()
        for _, each in ipairs(doctor.run(given).diagnoses) do
          if each.about == "publish" then return each.state end
        end
      end
      collegedb.open(given):close()
      assert.equal("ok", about())
      other:control { down = true }
      assert.equal("fault", about())
    end)

    it("places a key anew that KV has on a shard which was drained", function()
      local db = open { strategy = "hash" }
      insert(db, "Ada")
      local gone = db:locate "Ada"
      kv:put("shard:" .. hash "Bob", ('{"shard":"%s","createdAt":17,"updatedAt":17}'):format(gone))
      db:drain(gone)
      assert.not_equal(gone, (db:locate "Bob"))
      insert(db, "Bob")
      assert.equal((db:locate "Bob"), published("Bob").shard)
      assert.equal(db:locate "Ada", published("Ada").shard)
      assert.is_true(db:verify({}).success)
    end)

    it("names integer keys by their table, and bare without keyspaces", function()
      local bare = open { keyspaces = false, kv = fixture.path "bare.db" }
      bare:ensure_schema "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, v)"
      bare:insert(18, "INSERT INTO orders VALUES (18, 1)")
      assert.equal((bare:locate "18"), published("18").shard)
      bare:close()
      local db = open()
      db:ensure_schema "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, v)"
      db:insert(17, "INSERT INTO orders VALUES (17, 1)")
      local key = ("\0"):rep(512) .. string.pack("<s8", "orders") .. "17"
      assert.equal((db:locate(17, "orders")), published(key).shard)
    end)

    it("adds shards to the known ones", function()
      kv:put("known_shards", '["theirs"]')
      local db = open { strategy = "hash" }
      assert.same({ "theirs", "one", "two", "three" }, reader.decode(kv:get "known_shards"))
      db:add_shard { name = "four", fixture.path "four.db" }
      assert.same({ "theirs", "one", "two", "three", "four" }, reader.decode(kv:get "known_shards"))
    end)

    it("publishes which shards are known", function()
      kv:put("known_shards", '["theirs"]')
      local mapper = open():mapper()
      mapper:add_known_shard "later"
      assert.same({ "theirs", "one", "two", "three", "later" }, reader.decode(kv:get "known_shards"))
      mapper:set_known_shards { "one", "two", "three", "other" }
      assert.same({ "one", "two", "three", "other" }, reader.decode(kv:get "known_shards"))
    end)

    it("survives a network that loses answers", function()
      faults.start()
      local far = collegedb.cloudflare_kv(other:namespace(faults.stand_before(other.url .. "/client/v4")))
      local db = open { publish = far }
      for i = 1, 6 do
        faults.at(i % 3 + 1, { ending = "reset" })
        insert(db, "p" .. i)
      end
      faults.stop()
      for i = 1, 6 do assert.equal((db:locate("p" .. i)), published("p" .. i).shard) end
      db:close()
    end)

    it("is done by several programs at once, and all is there in the end", function()
      if kind ~= "a directory in a file" then return end
      open()
      local source = [[
        local function config()
          return { kv = folder .. "/directory.db", strategy = "round_robin",
            shards = { { name = "one", folder .. "/one.db" }, { name = "two", folder .. "/two.db" },
              { name = "three", folder .. "/three.db" } },
            publish = collegedb.cloudflare_kv { account = %q, namespace = %q, token = %q, endpoint = %q } }
        end
        local db = collegedb.open(config())
        wait_for_go()
        for i = 1, 40 do
          local key = "k" .. (i * tonumber(arg[1])) %% 41
          db:run(key, "INSERT OR IGNORE INTO people VALUES (?, 1)", { key })
          local done, err = true, nil
          if i %% 10 == 0 then
            done, err = pcall(db.reassign_shard, db, key, ({ "one", "two", "three" })[i %% 3 + 1])
          end
          local rival = done or err.code == "MOVING" or err.code == "BUSY" or err.code == "CONFLICT"
          if not rival then print(tostring(err)) end
        end
        db:close()]]
      local to = other:namespace()
      for _, printed in ipairs(fixture.together(3, source:format(to.account, to.namespace, to.token, to.endpoint))) do
        assert.equal("", printed)
      end
      local db = opened[1]
      db:flush_cache()
      local report = db:verify {}
      for _, each in ipairs(report.findings) do
        -- What rivals have left of a move is ended when its lease is over.
        assert.is_true(each.kind == "unpublished" or each.kind == "leftover", each.kind)
      end
      db:verify { repair = true }
      -- Two that publish one key at the same time may do so in the wrong order.
      db:publish()
      for i = 1, 40 do assert.equal((db:locate("k" .. i)), published("k" .. i).shard) end
      for _, each in ipairs(db:verify({}).findings) do assert.equal("leftover", each.kind) end
    end)

    it("is for a directory, not for a table KV", function()
      raises("CONFIG", "publish", function() open { kv = kv } end)
      raises("CONFIG", "publish", function() open { publish = "x" } end)
      raises("CONFIG", "table KV", function()
        local none = function() end
        open { kv = { get = none, put = none, delete = none, list = none } }
      end)
      raises("CONFIG", "publish", function() open { publish = false }:publish() end)
    end)
  end)
end
