-- Random stories: shards come, weights, strategies and forms of the directory change, files with rows of their own are
-- integrated and rolled back, and through all of it each row is found, once, with the value it was given. A story is
-- told by its seed: CDB_STORY=17 tells that one alone, CDB_STORIES=500 the first five hundred.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

local SCHEMA <const> = [[
  CREATE TABLE IF NOT EXISTS names (id TEXT PRIMARY KEY, v INTEGER);
  CREATE TABLE IF NOT EXISTS numbers (id INTEGER PRIMARY KEY, v INTEGER);
]]
local POOL <const> = { "a", "b", "c", "d", "e" }

local function table_of(key) return type(key) == "string" and "names" or "numbers" end
local function sql(form, key) return (form:gsub("TABLE", table_of(key))) end

local INSERT <const>, SELECT <const> = "INSERT INTO TABLE VALUES (?1, ?2)", "SELECT v FROM TABLE WHERE id = ?"
local UPDATE <const>, DELETE <const> = "UPDATE TABLE SET v = ?2 WHERE id = ?1", "DELETE FROM TABLE WHERE id = ?"

local Story = {}
Story.__index = Story

local function new_story(seed)
  local story = setmetatable({ seed = seed, random = math.random, rows = {}, used = {}, dbs = {}, told = {},
    names = { "a", "b", "c" } }, Story)
  math.randomseed(seed)
  return story
end

function Story:tell(form, ...) self.told[#self.told + 1] = form:format(...) end

function Story:key()
  local n = self.random(200)
  return self.random(2) == 1 and "k" .. n or n
end

-- A row put into a file past the router, of a key that no story has met.
function Story:put(name, v)
  local key = self:key()
  if self.used[key] then return end
  self.used[key], self.rows[key] = true, v
  self:tell("%s gets %s from elsewhere", name, key)
  local shard = core.sqlite(fixture.path(name .. ".db"), {})
  shard:exec(SCHEMA)
  shard:run(sql(INSERT, key), { key, v })
  core.close(shard)
end

function Story:new_config()
  local random, strategy = self.random, nil
  if random(3) == 1 then strategy = function(_, shards, ctx) return shards[ctx.turn() % #shards + 1].name end end
  local shards = {}
  for i, name in ipairs(self.names) do
    shards[name] = { weight = random(3) == 1 and random(5) or 1, allocate = i == 1 or random(6) > 1,
      external_writers = (self.seed + i) % 4 == 0 }
  end
  self:tell("a config of %s, %s", table.concat(self.names, " "), strategy and "claims" or "hash")
  return { strategy = strategy, shards = shards, auto_migrate = ({ true, false, "background" })[random(3)],
    directory = random(4) == 1 and "full" or "sparse", mapping_cache_ttl = random(3) == 1 and 0 or 30,
    mapping_cache_size = random(2) == 1 and 1 or 1000 }
end

function Story:open()
  if #self.dbs == 0 then self.config = self:new_config() end
  local db = fixture.open(fixture.config(self.config, self.names))
  self.dbs[#self.dbs + 1] = db
  db:ensure_schema(SCHEMA)
end

function Story:close()
  self:tell "an instance closes"
  table.remove(self.dbs, self.random(#self.dbs)):close()
  if #self.dbs == 0 and #self.names < #POOL and self.random(3) == 1 then
    self.names[#self.names + 1] = POOL[#self.names + 1]
  end
end

function Story:look(db, key)
  local row = db:first(key, sql(SELECT, key), { key })
  local got = row and row.v
  assert(got == self.rows[key], ("%s is %s, not %s"):format(key, got, self.rows[key]))
end

local steps = {}

function steps.insert(story, db, v)
  local key = story:key()
  story:tell("insert %s", key)
  story.used[key] = true
  if story.rows[key] then
    fixture.raises("CONSTRAINT", nil, db.insert, db, key, sql(INSERT, key), { key, v })
  else
    db:insert(key, sql(INSERT, key), { key, v })
    story.rows[key] = v
  end
end

function steps.update(story, db, v)
  local key = story:key()
  story:tell("update %s", key)
  assert.equal(story.rows[key] and 1 or 0, db:run(key, sql(UPDATE, key), { key, v }).meta.changes)
  story.rows[key] = story.rows[key] and v
end

function steps.delete(story, db)
  local key = story:key()
  story:tell("delete %s", key)
  assert.equal(story.rows[key] and 1 or 0, db:run(key, sql(DELETE, key), { key }).meta.changes)
  story.rows[key] = nil
end

function steps.transaction(story, db, v)
  local key, kept = story:key(), story.random(2) == 1
  story:tell("a transaction for %s", key)
  story.used[key] = true
  local ok, e = pcall(db.transaction, db, db:key(table_of(key), key), function(tx)
    tx:run(sql(story.rows[key] and UPDATE or INSERT, key), { key, v })
    if not kept then error "undone" end
  end)
  assert(ok == kept, tostring(e))
  if kept then story.rows[key] = v end
end

function steps.look(story, db) story:look(db, story:key()) end
function steps.flush(_, db) db:flush_cache() end

function steps.integrate(story, db)
  local name, dry = story.names[story.random(#story.names)], story.random(4) == 1
  story:tell("integrate %s%s", name, dry and " as a dry run" or "")
  local report = db:integrate(name, { dry_run = dry, page = story.random(10), batch = story.random(5),
    resume = story.random(2) == 1 })
  assert.equal(0, report.conflict_count)
end

function steps.rollback(story, db)
  local name = story.names[story.random(#story.names)]
  story:tell("roll %s back", name)
  db:rollback(name)
end

function steps.open(story)
  if #story.dbs < 3 then story:open() end
end

function steps.close(story) story:close() end

function steps.put(story, _, v)
  for name, shard in pairs(story.config.shards) do
    if shard.external_writers then
      story:put(name, v)
      for _, db in ipairs(story.dbs) do db:flush_cache() end
      return
    end
  end
end

local often <const> = { insert = 35, update = 10, delete = 8, look = 25, transaction = 4, integrate = 4, rollback = 2,
  flush = 2, open = 3, close = 4, put = 3 }
local dice = {}
for name, times in pairs(often) do
  for _ = 1, times do dice[#dice + 1] = name end
end
table.sort(dice)

function Story:run(count)
  for _, name in ipairs(self.names) do
    for v = 1, self.random(0, 25) do self:put(name, v) end
  end
  for v = 1, count do
    if #self.dbs == 0 then self:open() end
    steps[dice[self.random(#dice)]](self, self.dbs[self.random(#self.dbs)], v)
  end
  if #self.dbs == 0 then self:open() end
  for key in pairs(self.rows) do
    self:look(self.dbs[1], key)
    local holders = fixture.holders(self.names, table_of(key), "id", key)
    assert(#holders == 1, key .. " is on " .. table.concat(holders, " and "))
  end
  while #self.dbs > 0 do table.remove(self.dbs):close() end
end

describe("a story", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local only = tonumber(os.getenv "CDB_STORY")
  for seed = only or 1, only or tonumber(os.getenv "CDB_STORIES") or 12 do
    it("told from seed " .. seed .. " ends well", function()
      local story = new_story(seed)
      local ok, e = pcall(story.run, story, 200)
      if ok then return end
      local last = table.concat(story.told, "\n", math.max(1, #story.told - 15))
      error(("seed %d: %s\nafter:\n%s"):format(seed, tostring(e), last), 0)
    end)
  end

  it("of four processes that all do everything ends with each row once", function()
    for _, name in ipairs { "a", "b", "c" } do
      fixture.sqlite(name .. ".db", SCHEMA .. ([[WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n
        WHERE i < 60) INSERT INTO names SELECT '%s' || i, 0 FROM n]]):format(name))
    end
    local outputs = fixture.together(4, [[
      local number, random = tonumber(arg[1]), math.random
      math.randomseed(number)
      local config = { kv = folder .. "/directory.db",
        auto_migrate = ({ "background", true, false, "background" })[number],
        shards = { a = folder .. "/a.db", b = folder .. "/b.db", c = folder .. "/c.db" } }
      wait_for_go()
      local db = collegedb.open(config)
      for i = 1, 150 do
        local dice, name = random(100), ({ "a", "b", "c" })[random(3)]
        if dice <= 60 then
          local key = "k" .. random(150)
          local ok, e = pcall(db.insert, db, key, "INSERT INTO names VALUES (?, ?)", { key, number })
          assert(ok or e.code == "CONSTRAINT", tostring(e))
          assert(db:first(key, "SELECT v FROM names WHERE id = ?", { key }), key .. " is lost")
        elseif dice <= 90 then
          local key = name .. random(60)
          assert(db:first(key, "SELECT v FROM names WHERE id = ?", { key }), key .. " is not found")
        elseif dice <= 94 then
          local opts = { page = random(50), batch = random(20), resume = random(2) == 1 }
          if random(4) == 1 then opts.on_progress = function() return random(3) > 1 end end -- stopped now and then
          assert(db:integrate(name, opts).conflict_count == 0)
        elseif dice <= 97 then
          db:rollback(name)
        else
          db:close()
          db = collegedb.open(config)
        end
      end
      db:close()]])
    for _, output in ipairs(outputs) do assert.equal("", output) end
    local db, seen = fixture.open(fixture.config({}, { "a", "b", "c" })), {}
    for _, name in ipairs { "a", "b", "c" } do
      for row in db:shard(name):each "SELECT id FROM names" do
        assert(not seen[row.id], row.id .. " is on two shards")
        seen[row.id] = true
        assert.is_not_nil(db:first(row.id, "SELECT v FROM names WHERE id = ?", { row.id }))
      end
    end
  end)

  it("of processes that are killed ends with every row found", function()
    for _, name in ipairs { "a", "b" } do
      fixture.sqlite(name .. ".db", SCHEMA .. ([[WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n
        WHERE i < 3000) INSERT INTO names SELECT '%s' || i, 0 FROM n]]):format(name))
    end
    for round = 1, 6 do
      local pipe = fixture.spawn([[
        local pid = io.open("/proc/self/stat"):read "n"
        print(pid)
        io.flush()
        for i = 1, 1000 do
          local db = collegedb.open { kv = folder .. "/directory.db",
            shards = { a = folder .. "/a.db", b = folder .. "/b.db" } }
          db:integrate("a", { page = 100 })
          db:rollback "a"
          db:integrate("b", { page = 100 })
          db:rollback "b"
          db:close()
        end]])
      local pid = assert(math.tointeger(pipe:read "n"))
      os.execute(("sleep 0.%02d; kill -9 %d"):format(5 + round * 7, pid))
      pipe:close()
      local db = fixture.open(fixture.config { auto_migrate = false })
      for i = 1, 3000, 97 do
        for _, name in ipairs { "a", "b" } do
          local key = name .. i
          assert.equal(name, (db:locate(key)), key)
          assert.is_not_nil(db:first(key, "SELECT v FROM names WHERE id = ?", { key }))
        end
      end
      assert.equal(0, db:integrate("a", { dry_run = true }).conflict_count)
      db:close()
    end
  end)
end)
