-- What specs of the module work on: a folder of their own with real files, removed after each test, and a check that
-- the test left no file open, no statement running and no journal lying about.
--
--     before_each(fixture.start)
--     after_each(fixture.stop)

local assert = require "luassert"
local collegedb = require "collegedb"
local core = require "collegedb.core"
local lfs = require "lfs"
local process = require "spec.support.process"

local fixture = {}

local folder, descriptors, opened

-- --- files open in this process ---------------------------------------------------

local function open_descriptors()
  local list = {}
  for name in lfs.dir "/proc/self/fd" do
    local target = lfs.symlinkattributes("/proc/self/fd/" .. name, "target")
    -- The listing's own descriptor is gone by now, and with it its link.
    if target and not target:find "/proc/%d+/fd$" then list[name] = target end
  end
  return list
end

local function leaked_descriptors()
  local leaked = {}
  for name, target in pairs(open_descriptors()) do
    if descriptors[name] ~= target then leaked[#leaked + 1] = target end
  end
  table.sort(leaked)
  return leaked
end

local function left_journals()
  local left = {}
  for name in lfs.dir(folder) do
    if name:find "%-wal$" or name:find "%-shm$" or name:find "%-journal$" then left[#left + 1] = name end
  end
  table.sort(left)
  return left
end

function fixture.start()
  folder, opened = process.new_folder(), {}
  descriptors = open_descriptors()
end

---Closes what fixture.open opened, and fails the test if anything is still open then. The collector has not run
---especially: what only it would close, close() has left behind.
function fixture.stop()
  for i = #opened, 1, -1 do opened[i]:close() end
  local leaked, left = leaked_descriptors(), #leaked_descriptors() == 0 and left_journals() or {}
  local removed = folder
  folder = nil
  collectgarbage()
  collectgarbage()
  process.remove(removed)
  assert(#leaked == 0, "left open: " .. table.concat(leaked, ", "))
  assert(#left == 0, "left behind: " .. table.concat(left, ", "))
end

---@param name string
---@return string # the path of a file in this test's folder
function fixture.path(name) return folder .. "/" .. name end

function fixture.write(name, text) process.write(fixture.path(name), text) end
function fixture.bytes(name) return process.read(fixture.path(name)) end

---@return string[] # names of the files in this test's folder, sorted
function fixture.files()
  local names = {}
  for name in lfs.dir(folder) do
    if name ~= "." and name ~= ".." then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

-- --- databases ---------------------------------------------------------------------

---Opens a database that is closed after the test.
function fixture.open(config)
  local db = collegedb.open(config)
  opened[#opened + 1] = db
  return db
end

---Remembers something with close() to be closed after the test.
function fixture.track(db)
  opened[#opened + 1] = db
  return db
end

---A config with the directory directory.db and the shards a.db and b.db (or of the names given). What is to be
---integrated is, when open returns, unless `extra` says otherwise.
---@param extra table? further fields, by name; shards.NAME holds fields of that shard
---@param names string[]?
function fixture.config(extra, names)
  -- CDB_KV=single runs a spec over a directory that takes a statement at a time.
  local kv = os.getenv "CDB_KV" == "single" and fixture.single "directory.db" or fixture.path "directory.db"
  local config = { kv = kv, auto_migrate = true, shards = {} }
  local shard_fields = {}
  for field, value in pairs(extra or {}) do
    if field == "shards" then shard_fields = value else config[field] = value end
  end
  for i, name in ipairs(names or { "a", "b" }) do
    local shard = { name = name, fixture.path(name .. ".db") }
    for field, value in pairs(shard_fields[name] or {}) do shard[field] = value end
    config.shards[i] = shard
  end
  return config
end

---Opens fixture.config(extra, names), with the tables of `schema` on every shard.
function fixture.database(schema, extra, names)
  local db = fixture.open(fixture.config(extra, names))
  if schema then db:ensure_schema(schema) end
  return db
end

---Runs a script on a file with nothing of CollegeDB's routing; the file is a plain one, its journal mode "delete".
function fixture.sqlite(name, script)
  local shard = core.sqlite(fixture.path(name), { journal_mode = "delete" })
  local done, err = pcall(shard.exec, shard, script)
  core.close(shard)
  if not done then error(err, 0) end
end

---Rows of a query on a file, past every router.
function fixture.rows(name, sql, params)
  local shard = core.sqlite(fixture.path(name), {})
  local done, rows = pcall(shard.all, shard, sql, params)
  core.close(shard)
  if not done then error(rows, 0) end
  return rows
end

---The names of the shards (files NAME.db) that hold the row, by a bare look into each.
function fixture.holders(names, table_name, column, value)
  local found = {}
  for _, name in ipairs(names) do
    local sql = ("SELECT 1 AS yes FROM %s WHERE %s = ?"):format(table_name, column)
    if #fixture.rows(name .. ".db", sql, { value }) > 0 then found[#found + 1] = name end
  end
  return found
end

---A key of the form "k17" whose home is the shard, or "k17" from another number on.
function fixture.key_on(db, shard, from)
  for i = from or 1, (from or 1) + 1000 do
    if db:locate("k" .. i) == shard then return "k" .. i end
  end
  error("no key for shard " .. shard)
end

---Opens a file as a database that, like Cloudflare's D1, has no transactions over several statements; closed after the
---test.
function fixture.single(name)
  local shard = core.sqlite(fixture.path(name), { name = name, single = true })
  opened[#opened + 1] = { close = function() core.close(shard) end }
  return shard
end

-- --- errors ---------------------------------------------------------------------------

---Asserts that the call raises an error object of CollegeDB, well formed, and returns it.
---@param code string
---@param pattern string? of the message
function fixture.raises(code, pattern, f, ...)
  local results = table.pack(pcall(f, ...))
  assert(not results[1], ("%s was expected, but the call returned %s"):format(code, tostring(results[2])))
  local e = results[2]
  assert(collegedb.is_error(e), ("an error object of %s was expected, not %s"):format(code, tostring(e)))
  assert.equal(code, e.code, tostring(e))
  if pattern then assert.matches(pattern, e.message) end
  local text = tostring(e)
  assert(not text:find "\n", "more than one line: " .. text)
  local start = (e.where and e.where .. ": " or "") .. code .. ": "
  assert(text:sub(1, #start) == start, text)
  assert.is_boolean(e.retryable)
  return e
end

-- --- other processes -------------------------------------------------------------------

local function spawn(limit, source, ...)
  local name = os.tmpname()
  process.write(name, ([[
    local folder = %q
    local collegedb = require "collegedb"
    local function wait_for_go()
      print "ready"
      io.flush()
      repeat
        local file = io.open(folder .. "/go")
      until file
    end
    os.remove(%q)
    ]]):gsub("\n%s+", " "):format(folder, name) .. source)
  local words = { "env -u LD_PRELOAD timeout -k 2", limit, process.quote(process.collegedb), process.quote(name) }
  for _, word in ipairs { ... } do words[#words + 1] = process.quote(tostring(word)) end
  return assert(io.popen(table.concat(words, " ") .. " 2>&1"))
end

---Starts a Lua program in a process of its own. In it, `folder` is this test's folder, and wait_for_go() returns when
---fixture.go() was called: programs that are to meet start together.
---@param source string
---@return file* # what it prints; closing it tells how it ended
function fixture.spawn(source, ...) return spawn(60, source, ...) end

---Runs one program several times at once, with its number as argument, and returns what each printed.
---@param limit integer? seconds that each may take (60)
---@return string[]
function fixture.together(count, source, limit)
  local pipes, outputs = {}, {}
  for i = 1, count do pipes[i] = spawn(limit or 60, source, i) end
  for i = 1, count do assert.equal("ready", pipes[i]:read "l") end
  fixture.write("go", "")
  for i = 1, count do
    outputs[i] = pipes[i]:read "a"
    assert(pipes[i]:close(), ("process %d failed: %s"):format(i, outputs[i]))
  end
  os.remove(fixture.path "go")
  return outputs
end

---Starts a program that prints "ready" and ends when its input is closed; returns a function that ends it.
---@param source string runs before "ready"
function fixture.background(source)
  local stop = fixture.path "stop"
  local pipe = fixture.spawn(source .. ([[
    print "ready" io.flush()
    repeat local f = io.open(%q) os.execute "sleep 0.02" until f]]):format(stop))
  local line = pipe:read "l"
  while line and line ~= "ready" do line = pipe:read "l" end
  assert.equal("ready", line)
  return function()
    fixture.write("stop", "")
    local rest = pipe:read "a"
    local ended = pipe:close()
    os.remove(stop)
    assert(ended, rest)
    return rest
  end
end

return fixture
