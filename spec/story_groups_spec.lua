-- Random stories of groups: two roots with tables that follow them, on shards that come and are taken over, rolled back
-- and written past the router. A plain model tells what each call must answer: by the group's key and by a row's own.
-- At the end every row is on the shard of its group, once. A story is told by its seed: CDB_STORY=17 tells that one
-- alone, CDB_STORIES=500 the first five hundred.

local core = require "collegedb.core"
local fixture = require "spec.support.fixture"

local SCHEMA <const> = [[
  CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY%s, v INTEGER);
  CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, up TEXT REFERENCES users ON DELETE CASCADE, v INTEGER);
  CREATE TABLE IF NOT EXISTS posts (id TEXT PRIMARY KEY, up TEXT REFERENCES users ON DELETE CASCADE, v INTEGER);
  CREATE TABLE IF NOT EXISTS lines (up INTEGER REFERENCES orders ON DELETE CASCADE, n INTEGER, v INTEGER,
    PRIMARY KEY (up, n));
  CREATE TABLE IF NOT EXISTS tags (up TEXT REFERENCES posts ON DELETE CASCADE, n INTEGER, v INTEGER,
    PRIMARY KEY (up, n)) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS teams (id INTEGER PRIMARY KEY, v INTEGER);
  CREATE TABLE IF NOT EXISTS people (id INTEGER PRIMARY KEY, up INTEGER REFERENCES teams ON DELETE CASCADE, v INTEGER);
  CREATE INDEX IF NOT EXISTS orders_up ON orders (up%s);
  CREATE INDEX IF NOT EXISTS posts_up ON posts (up%s);
  CREATE INDEX IF NOT EXISTS people_up ON people (up);
  CREATE VIEW IF NOT EXISTS all_posts AS SELECT * FROM posts;
]]
local FOLLOWS <const> = { orders = "users", posts = "users", people = "teams", lines = "orders", tags = "posts" }
local ROOTS <const> = { "users", "users", "teams" }
local MEMBERS <const> = { "orders", "orders", "posts", "posts", "people" }
local SHARDS <const> = { "a", "b", "c", "d" }

local Story = {}
Story.__index = Story

local function new_story(seed)
  math.randomseed(seed)
  local fold = seed % 3 == 0
  local collate = fold and " COLLATE NOCASE" or ""
  return setmetatable({ seed = seed, random = math.random, told = {}, dbs = {}, names = { "a", "b", "c" }, fold = fold,
    schema = SCHEMA:format(collate, collate, collate),
    used = {}, -- groups that were written, by root and key
    rows = { users = {}, teams = {}, orders = {}, posts = {}, people = {} } }, Story) -- by key: { v, up, parts }
end

function Story:tell(form, ...) self.told[#self.told + 1] = form:format(...) end

-- --- keys ----------------------------------------------------------------------------

local TEXT <const> = { users = "U", posts = "P" }

function Story:key(table_name)
  local n = self.random(table_name == "teams" and 20 or 40)
  return TEXT[table_name] and TEXT[table_name] .. n or n
end

-- A string as one may also write it.
function Story:spelt(table_name, key)
  return self.fold and table_name == "users" and self.random(2) == 1 and key:lower() or key
end

-- The key to give with a statement of `of` for a row of `table_name`.
function Story:given(db, table_name, key, of)
  key = self:spelt(table_name, key)
  if of ~= table_name and math.type(key) or self.random(4) == 1 then return db:key(table_name, key) end
  return key
end

-- --- the model -----------------------------------------------------------------------

function Story:members_of(root, key)
  local list = {}
  for table_name, parent in pairs(FOLLOWS) do
    if parent == root then
      for id, row in pairs(self.rows[table_name]) do
        if row.up == key then list[#list + 1] = { table = table_name, id = id, row = row } end
      end
    end
  end
  return list
end

function Story:count(table_name, up)
  local n = 0
  for _, row in pairs(self.rows[table_name]) do n = n + (row.up == up and 1 or 0) end
  return n
end

local function parts_of(table_name) return table_name == "orders" and "lines" or "tags" end

local function size(parts)
  local n = 0
  for _ in pairs(parts) do n = n + 1 end
  return n
end

-- --- opening and closing -------------------------------------------------------------

function Story:new_config()
  local random, shards = self.random, {}
  for i, name in ipairs(self.names) do
    shards[name] = { weight = random(3) == 1 and random(5) or 1, allocate = i == 1 or random(6) > 1,
      external_writers = (self.seed + i) % 4 == 0 }
  end
  local strategy = ({ "hash", "hash", "random" })[random(3)]
  self:tell("a config of %s, %s", table.concat(self.names, " "), strategy)
  return { strategy = strategy, shards = shards, auto_migrate = random(2) == 1,
    directory = random(4) == 1 and "full" or "sparse", mapping_cache_ttl = random(3) == 1 and 0 or 30,
    check_keys = not self.fold and random(3) == 1, mapping_cache_size = random(2) == 1 and 1 or 1000 }
end

function Story:open()
  if #self.dbs == 0 then self.config = self:new_config() end
  local db = fixture.open(fixture.config(self.config, self.names))
  self.dbs[#self.dbs + 1] = db
  db:ensure_schema(self.schema)
end

local steps = {}

function steps.open(story)
  if #story.dbs < 3 then story:open() end
end

function steps.close(story)
  story:tell "an instance closes"
  table.remove(story.dbs, story.random(#story.dbs)):close()
  if #story.dbs == 0 and #story.names < #SHARDS and story.random(3) == 1 then
    story.names[#story.names + 1] = SHARDS[#story.names + 1]
  end
end

function steps.flush(_, db) db:flush_cache() end

function steps.integrate(story, db)
  local name, dry = story.names[story.random(#story.names)], story.random(4) == 1
  story:tell("integrate %s%s", name, dry and " as a dry run" or "")
  assert.equal(0, db:integrate(name, { dry_run = dry, page = story.random(10) }).conflict_count)
end

function steps.rollback(story, db)
  local name = story.names[story.random(#story.names)]
  story:tell("roll %s back", name)
  db:rollback(name)
end

-- --- past the router ------------------------------------------------------------------

-- A group with members, put into a file, of keys that no story has met.
function Story:put(name, v)
  local root = ROOTS[self.random(#ROOTS)]
  local key = self:key(root)
  if self.used[root .. key] then return end
  self.used[root .. key] = true
  self:tell("%s gets the group %s %s from elsewhere", name, root, key)
  local shard = core.sqlite(fixture.path(name .. ".db"), {})
  shard:exec(self.schema)
  if self.random(5) > 1 then -- else the members have lost their root
    shard:run(("INSERT INTO %s VALUES (?, ?)"):format(root), { key, v })
    self.rows[root][key] = { v = v }
  end
  for _, table_name in ipairs(root == "users" and { "orders", "posts" } or { "people" }) do
    local id = self:key(table_name)
    if not self.rows[table_name][id] then
      self.rows[table_name][id] = { v = v, up = key, parts = {} }
      shard:run(("INSERT INTO %s VALUES (?, ?, ?)"):format(table_name), { id, key, v })
    end
  end
  core.close(shard)
end

function steps.put(story, _, v)
  for _, name in ipairs(story.names) do
    if story.config.shards[name].external_writers then
      story:put(name, v)
      for _, db in ipairs(story.dbs) do db:flush_cache() end
      return
    end
  end
end

-- --- by the group's key ----------------------------------------------------------------

function steps.insert_root(story, db, v)
  local root = ROOTS[story.random(#ROOTS)]
  local key = story:key(root)
  story:tell("insert %s %s", root, key)
  story.used[root .. key] = true
  local sql = ("INSERT INTO %s VALUES (?, ?)"):format(root)
  local given = story:given(db, root, key, root)
  if story.rows[root][key] then
    fixture.raises("CONSTRAINT", nil, db.insert, db, given, sql, { key, v })
  else
    db:insert(given, sql, { key, v })
    story.rows[root][key] = { v = v }
  end
end

-- A group may be added to while there is anything of it.
function Story:is_there(root, key) return self.rows[root][key] or #self:members_of(root, key) > 0 end

function steps.insert_member(story, db, v)
  local table_name = MEMBERS[story.random(#MEMBERS)]
  local root = FOLLOWS[table_name]
  local key, id = story:key(root), story:key(table_name)
  if not story:is_there(root, key) then return end
  local verb = ({ "INSERT", "INSERT OR IGNORE", "REPLACE" })[story.random(3)]
  if story.rows[table_name][id] and (verb ~= "INSERT" or story.rows[table_name][id].up ~= key) then return end
  story:tell("insert %s %s into %s %s", table_name, id, root, key)
  story.used[root .. key] = true
  local sql = ("%s INTO %s VALUES (?, ?, ?)"):format(verb, table_name)
  local given = story:given(db, root, key, table_name)
  if story.rows[table_name][id] then
    fixture.raises("CONSTRAINT", nil, db.insert, db, given, sql, { id, key, v })
  else
    assert.equal(1, db:insert(given, sql, { id, key, v }).meta.changes)
    story.rows[table_name][id] = { v = v, up = key, parts = {} }
  end
end

function steps.look_group(story, db)
  local table_name = MEMBERS[story.random(#MEMBERS)]
  local root = FOLLOWS[table_name]
  local key = story:key(root)
  local given = story:given(db, root, key, table_name)
  story:tell("look for %s of %s %s", table_name, root, key)
  local n = story:count(table_name, key)
  assert.equal(n, #db:all(given, ("SELECT id FROM %s WHERE up = ?"):format(table_name), { key }))
  assert.equal(n, db:first(given, ("SELECT count(*) AS n FROM %s WHERE up = ?"):format(table_name), { key }).n)
  local root_row = db:first(story:given(db, root, key, root), ("SELECT v FROM %s WHERE id = ?"):format(root), { key })
  assert.equal(story.rows[root][key] and story.rows[root][key].v, root_row and root_row.v)
end

function steps.update_group(story, db, v)
  local table_name = MEMBERS[story.random(#MEMBERS)]
  local root = FOLLOWS[table_name]
  local key = story:key(root)
  story:tell("update %s of %s %s", table_name, root, key)
  local result = db:run(story:given(db, root, key, table_name), ("UPDATE %s SET v = ? WHERE up = ?"):format(table_name),
    { v, key })
  assert.equal(story:count(table_name, key), result.meta.changes)
  for _, each in ipairs(story:members_of(root, key)) do
    if each.table == table_name then each.row.v = v end
  end
end

local function remove(tx, table_name, id, parts)
  if parts then tx:run(("DELETE FROM %s WHERE up = ?"):format(parts_of(table_name)), { id }) end
  return tx:run(("DELETE FROM %s WHERE id = ?"):format(table_name), { id }).meta.changes
end

-- The whole group, in a transaction, which may be taken back.
function steps.delete_group(story, db)
  local root = ROOTS[story.random(#ROOTS)]
  local key, kept = story:key(root), story.random(3) > 1
  story:tell("delete %s %s%s", root, key, kept and "" or ", and take it back")
  local list = story:members_of(root, key)
  local ok, e = pcall(db.transaction, db, db:key(root, key), function(tx)
    for _, each in ipairs(list) do assert.equal(1, remove(tx, each.table, each.id, each.table ~= "people")) end
    assert.equal(story.rows[root][key] and 1 or 0, remove(tx, root, key))
    if not kept then error "undone" end
  end)
  assert(ok == kept, tostring(e))
  story.used[root .. key] = true
  if not kept then return end
  for _, each in ipairs(list) do story.rows[each.table][each.id] = nil end
  story.rows[root][key] = nil
end

-- --- by a row's own key ------------------------------------------------------------------

function Story:member()
  local table_name = MEMBERS[self.random(#MEMBERS)]
  local id = self:key(table_name)
  return table_name, id, self.rows[table_name][id]
end

function steps.look(story, db)
  local table_name, id, row = story:member()
  story:tell("look for %s %s", table_name, id)
  local key = story:given(db, table_name, id, table_name)
  local way = story.random(5)
  local from = table_name == "posts" and story.random(3) == 1 and "all_posts" or table_name
  local sql, got = ("SELECT v FROM %s WHERE id = ?"):format(from), nil
  if way == 1 then for each in db:each(key, sql, { id }) do got = each.v end
  elseif way == 2 then got = (db:all(key, sql, { id })[1] or {}).v
  elseif way == 3 then got = (db:run(key, sql, { id }).results[1] or {}).v
  elseif way == 4 then got = db:first(key, ("SELECT max(v) AS v FROM %s WHERE id = ?"):format(from), { id }).v
  else got = (db:first(key, sql, { id }) or {}).v end
  assert(got == (row and row.v), ("%s %s is %s, not %s"):format(table_name, id, got, row and row.v))
end

function steps.update(story, db, v)
  local table_name, id, row = story:member()
  story:tell("update %s %s", table_name, id)
  local sql = ("UPDATE %s SET v = ?2 WHERE id = ?1"):format(table_name)
  assert.equal(row and 1 or 0, db:run(story:given(db, table_name, id, table_name), sql, { id, v }).meta.changes)
  if row then row.v = v end
end

function steps.upsert(story, db, v)
  local table_name, id, row = story:member()
  if not row then return end
  story:tell("upsert %s %s", table_name, id)
  local sql = ("INSERT INTO %s VALUES (?1, ?2, ?3) ON CONFLICT (id) DO UPDATE SET v = ?3"):format(table_name)
  assert.equal(1, db:run(story:given(db, table_name, id, table_name), sql, { id, row.up, v }).meta.changes)
  row.v = v
end

function steps.delete(story, db)
  local table_name, id, row = story:member()
  story:tell("delete %s %s", table_name, id)
  local key = story:given(db, table_name, id, table_name)
  if row and table_name ~= "people" then
    local results = db:batch(key, {
      { ("DELETE FROM %s WHERE up = ?"):format(parts_of(table_name)), { id } },
      { ("DELETE FROM %s WHERE id = ?"):format(table_name), { id } },
    })
    assert.same({ size(row.parts), 1 }, { results[1].meta.changes, results[2].meta.changes })
  else
    local sql = ("DELETE FROM %s WHERE id = ?"):format(table_name)
    assert.equal(row and 1 or 0, db:run(key, sql, { id }).meta.changes)
  end
  story.rows[table_name][id] = nil
end

function steps.insert_unknown(story, db, v)
  local table_name, id, row = story:member()
  if row then return end
  story:tell("insert %s %s under its own key", table_name, id)
  local form = ({ "INSERT INTO %s VALUES (?, ?, ?)", "INSERT OR IGNORE INTO %s VALUES (?, ?, ?)",
    "REPLACE INTO %s VALUES (?, ?, ?)", "WITH n AS (SELECT 1) INSERT INTO %s SELECT ?, ?, ? FROM n" })[story.random(4)]
  fixture.raises("USAGE", FOLLOWS[table_name], db.insert, db, story:given(db, table_name, id, table_name),
    form:format(table_name), { id, story:key(FOLLOWS[table_name]), v })
end

-- Rows of the second level, by the key of the row that they follow.
function steps.insert_part(story, db, v)
  local table_name, id, row = story:member()
  if table_name == "people" then return end
  local parts, n = parts_of(table_name), story.random(3)
  story:tell("insert %d into %s of %s", n, parts, id)
  local sql = ("INSERT INTO %s VALUES (?, ?, ?)"):format(parts)
  local key = story:given(db, table_name, id, parts)
  if not row then fixture.raises("USAGE", nil, db.insert, db, key, sql, { id, n, v })
  elseif row.parts[n] then fixture.raises("CONSTRAINT", nil, db.insert, db, key, sql, { id, n, v })
  else
    db:insert(key, sql, { id, n, v })
    row.parts[n] = v
  end
end

function steps.look_parts(story, db)
  local table_name, id, row = story:member()
  if table_name == "people" then return end
  local parts = parts_of(table_name)
  story:tell("look for %s of %s", parts, id)
  local found = db:all(story:given(db, table_name, id, parts), ("SELECT v FROM %s WHERE up = ?"):format(parts), { id })
  assert.equal(row and size(row.parts) or 0, #found)
end

function steps.transaction(story, db, v)
  local table_name, id, row = story:member()
  if not row then return end
  local kept = story.random(2) == 1
  story:tell("a transaction for %s %s", table_name, id)
  local ok, e = pcall(db.transaction, db, db:key(table_name, id), function(tx)
    assert.equal(1, tx:run(("UPDATE %s SET v = ? WHERE id = ?"):format(table_name), { v, id }).meta.changes)
    if not kept then error "undone" end
  end)
  assert(ok == kept, tostring(e))
  if kept then row.v = v end
end

-- A string that is not there yet may be a group's: such a transaction is let pass.
function steps.transaction_early(story, db)
  local id = story:key "posts"
  if story.rows.posts[id] then return end
  story:tell("a transaction for posts %s, which is not there", id)
  db:transaction(id, function(tx)
    assert.equal(0, tx:run("UPDATE posts SET v = 0 WHERE id = ?", { id }).meta.changes)
  end)
end

-- --- telling it ----------------------------------------------------------------------------

local often <const> = { insert_root = 12, insert_member = 20, look_group = 12, update_group = 5, delete_group = 4,
  look = 25, update = 8, upsert = 4, delete = 8, insert_unknown = 4, insert_part = 8, look_parts = 6, transaction = 5,
  transaction_early = 2, integrate = 4, rollback = 2, flush = 2, open = 3, close = 4, put = 4 }
local dice = {}
for name, times in pairs(often) do
  for _ = 1, times do dice[#dice + 1] = name end
end
table.sort(dice)

function Story:check_one_place(what, table_name, column, value)
  local holders = fixture.holders(self.names, table_name, column, value)
  assert(#holders == 1, ("%s is on %s"):format(what, table.concat(holders, " and ")))
  return holders[1]
end

-- Each row is on one shard, together with its siblings, its parts and its root.
function Story:check_places(table_name)
  local root = FOLLOWS[table_name]
  for key, row in pairs(self.rows[table_name]) do
    local what = table_name .. " " .. key
    local holder = self:check_one_place(what, table_name, "id", key)
    if row.parts and next(row.parts) then
      assert.equal(holder, self:check_one_place(what, parts_of(table_name), "up", key), what)
    end
    if root then assert.equal(holder, self:check_one_place(what, table_name, "up", row.up), what) end
    if root and self.rows[root][row.up] then
      assert.equal(holder, self:check_one_place(what, root, "id", row.up), what)
    end
  end
end

function Story:run(count)
  for _, name in ipairs(self.names) do
    for v = 1, self.random(0, 8) do self:put(name, v) end
  end
  for v = 1, count do
    if #self.dbs == 0 then self:open() end
    steps[dice[self.random(#dice)]](self, self.dbs[self.random(#self.dbs)], v)
  end
  if #self.dbs == 0 then self:open() end
  while #self.dbs > 0 do table.remove(self.dbs):close() end
  for _, table_name in ipairs { "users", "teams", "orders", "posts", "people" } do
    self:check_places(table_name)
  end
end

describe("a story of groups", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local only = tonumber(os.getenv "CDB_STORY")
  for seed = only or tonumber(os.getenv "CDB_FROM") or 1, only or tonumber(os.getenv "CDB_STORIES") or 12 do
    it("told from seed " .. seed .. " ends well", function()
      local story = new_story(seed)
      local ok, e = pcall(story.run, story, 200)
      if ok then return end
      local last = table.concat(story.told, "\n", math.max(1, #story.told - 15))
      error(("seed %d: %s\nafter:\n%s\nCDB_STORY=%d make test SPEC=spec/story_groups_spec.lua tells it again"):format(
        seed, tostring(e), last, seed), 0)
    end)
  end
end)
