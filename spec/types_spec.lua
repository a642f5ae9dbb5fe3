-- types/: the interface as annotations for lua-language-server. It names all that is public, and no more; what calls
-- return has the shape that it says.

local annotations = require "spec.support.annotations"
local fixture = require "spec.support.fixture"
local process = require "spec.support.process"
local shapes = require "spec.support.shapes"

local collegedb = require "collegedb"
local core = require "collegedb.core"

local files, types = annotations.read_all()

-- What lua-language-server knows by itself.
local BUILT_IN <const> = { any = true, string = true, number = true, integer = true, boolean = true, table = true,
  userdata = true, lightuserdata = true, ["function"] = true, ["nil"] = true }

local function names_of(class)
  local names = {}
  for _, file in ipairs(files) do
    for _, each in ipairs(file.functions) do
      if each.class == class then
        assert.is_nil(names[each.name], each.where .. ": a second time")
        names[each.name] = each
      end
    end
  end
  return names
end

local function sorted(set)
  local list = {}
  for name in pairs(set) do list[#list + 1] = tostring(name) end
  table.sort(list)
  return list
end

-- The functions of a table, without metamethods and those of `private`.
local function functions_of(object, private)
  local set = {}
  for name, value in pairs(object) do
    local hidden = type(name) ~= "string" or name:find "^__" or (private and private[name])
    if type(value) == "function" and not hidden then set[name] = value end
  end
  return set
end

local function upvalue(f, wanted)
  for i = 1, 100 do
    local name, value = debug.getupvalue(f, i)
    if not name then return nil end
    if name == wanted then return value end
  end
end

-- All that the module answers to.
local function module_names()
  local set, index = {}, getmetatable(collegedb).__index
  for name in pairs(upvalue(index, "lazy")) do set[name] = true end
  for name in pairs(core.db_methods) do set[name] = true end
  for name, value in pairs(collegedb) do set[name] = type(value) == "function" or nil end
  return set
end

describe("the annotations", function()
  it("are Lua, each of a kind that is known", function()
    for _, file in ipairs(files) do assert.is_string(file.meta) end
    local pipe <close> = assert(io.popen "find types -name '*.lua'")
    for path in pipe:lines() do assert(loadfile(path, "t")) end
  end)

  it("refer to types that are there", function()
    local function check(type, where, generics)
      annotations.each_name(type, function(name)
        assert(BUILT_IN[name] or types[name] or (generics and generics[name]), where .. ": there is no type " .. name)
      end)
    end
    for _, file in ipairs(files) do
      for _, class in ipairs(file.classes) do
        assert(not class.parent or BUILT_IN[class.parent] or types[class.parent], class.where)
        for _, field in ipairs(class.fields) do check(field.type, field.where) end
      end
      for _, alias in ipairs(file.aliases) do check(alias.type, alias.where) end
      for _, each in ipairs(file.functions) do
        for _, param in ipairs(each.params) do check(param.type, each.where, each.generics) end
        for _, result in ipairs(each.returns) do check(result.type, each.where, each.generics) end
      end
    end
  end)

  it("describe every function and its parameters", function()
    for _, file in ipairs(files) do
      for _, each in ipairs(file.functions) do
        assert(each.doc[1] and each.doc[1]:find "%S", each.where .. ": says nothing")
        local names = {}
        for i, param in ipairs(each.params) do names[i] = param.name end
        assert.same(names, each.arguments, each.where)
      end
    end
  end)

  it("name error codes that there are, and functions that are there", function()
    local objects = { db = "Database", shard = "Shard", tx = "Transaction", mapper = "Mapper", kv = "CloudflareKV",
      gateway = "Gateway" }
    for _, file in ipairs(files) do
      for _, each in ipairs(file.functions) do
        local text = table.concat(each.doc, " ")
        for code in text:gmatch "`(%u[%u_]+)`" do
          assert(core.codes[code] or code:find "_TOKEN$", each.where .. ": " .. code)
        end
        for object, name in text:gmatch "`(%l+):([%l_]+)" do
          local class = assert(objects[object], each.where .. ": " .. object)
          assert(names_of("collegedb." .. class)[name], each.where .. ": " .. name)
        end
        for name in text:gmatch "`collegedb%.([%l_]+)" do
          assert(names_of "collegedb"[name] or name == "null" or name == "net", each.where .. ": " .. name)
        end
      end
    end
  end)

  it("have the methods of a database as functions of the module, as `make types` writes them", function()
    local written = process.run { "lua5.4", "scripts/build/types.lua", "types/collegedb/database.lua" }
    assert.equal("", written.stderr)
    assert.equal(written.stdout, process.read "types/collegedb/default.lua")
  end)
end)

describe("the annotations name all that is public, and no more:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  -- The arguments of Lua functions; those in C do not tell theirs.
  local function check_arguments(name, real, told)
    local info = type(real) == "function" and debug.getinfo(real, "u")
    if not info or info.isvararg then return end
    assert.equal(#told.arguments + (told.method and 1 or 0), info.nparams, name .. " takes other arguments")
  end

  local function check(class, real)
    local told = names_of(class)
    assert.same(sorted(real), sorted(told))
    for name, f in pairs(real) do check_arguments(class .. "." .. name, f, told[name]) end
  end

  it("functions of the module", function()
    local real = {}
    for name in pairs(module_names()) do real[name] = core.db_methods[name] and true or collegedb[name] end
    check("collegedb", real)
    local fields = {}
    for _, field in ipairs(types.collegedb.fields) do
      fields[field.name] = true
      assert.is_not_nil(collegedb[field.name], field.name)
    end
    for name, value in pairs(collegedb) do assert(type(value) == "function" or fields[name], name) end
  end)

  it("methods of a database, of a shard and of a transaction", function()
    check("collegedb.Database", functions_of(core.db_methods))
    check("collegedb.Shard", functions_of(core.shard_methods))
    check("collegedb.Transaction", functions_of(core.tx_methods))
  end)

  it("methods of a mapper and of services", function()
    local d1 = collegedb.d1 { account = "a", database = "d", token = "t" }
    local gateway = collegedb.gateway { url = "http://localhost:1", token = "t" }
    local kv = collegedb.cloudflare_kv { account = "a", namespace = "n", token = "t" }
    local mapper <close> = collegedb.KVShardMapper "memory:"
    check("collegedb.Mapper", functions_of(getmetatable(mapper).__index))
    check("collegedb.Gateway", functions_of(getmetatable(gateway).__index))
    -- What the rest of CollegeDB asks of them is theirs alone.
    check("collegedb.CloudflareKV", functions_of(getmetatable(kv).__index, { id = true, may_write = true }))
    assert.same({ "describe", "id", "may_write", "open" }, sorted(functions_of(getmetatable(d1))))
    for name in pairs(names_of "collegedb.D1") do assert.is_function(d1[name], name) end
    assert.same(sorted(names_of "collegedb.Shard"), sorted(names_of "collegedb.D1"))
    assert.same({}, sorted(names_of "collegedb.Coordinator"))
  end)

  it("functions of collegedb.net", function()
    check("collegedb.net", functions_of(require "collegedb.net"))
  end)

  it("fields of the config", function()
    local source = assert(process.read "lua/collegedb/config.lua")
    for class, list in pairs { ["collegedb.Config"] = "fields", ["collegedb.ShardConfig"] = "shard_fields" } do
      local real, told = {}, {}
      local body = assert(source:match("\nlocal " .. list .. " = (%b{})"))
      for field in body:gmatch "%f[%w_%[]%[?([%l%d_]+)%]? = " do real[field] = true end
      for _, field in ipairs(types[class].fields) do told[field.name] = true end
      assert.same(sorted(real), sorted(told))
    end
  end)

  it("words that the config takes", function()
    local config = require "collegedb.config"
    local function words_of(type)
      local alias = type.kind == "name" and types[type.name]
      if alias and alias.type then return words_of(alias.type) end
      for _, each in ipairs(type.kind == "union" and type or { type }) do
        if each.kind ~= "literal" and each.name ~= "boolean" then return nil end
      end
      return type.kind == "union" and type or { type }
    end
    local function normalize(field, value, of_shard)
      local given = { kv = "memory:", shards = { { name = "a", "a.db" } } };
      (of_shard and given.shards[1] or given)[field] = value
      return pcall(config.normalize, given)
    end
    for class, of_shard in pairs { ["collegedb.Config"] = false, ["collegedb.ShardConfig"] = true } do
      for _, field in ipairs(types[class].fields) do
        local words = words_of(field.type)
        for _, each in ipairs(words or {}) do
          if each.kind == "literal" then assert(normalize(field.name, each.value, of_shard)) end
        end
        local done, err = normalize(field.name, "no such word", of_shard)
        if words then assert.is_false(done, field.name) end
        -- Every word that the message names is told.
        local told = {}
        for _, each in ipairs(words or {}) do told[tostring(each.value)] = true end
        for word in words and err.message:match("takes (.*), not"):gmatch '"([^"]+)"' or function() end do
          assert(told[word], field.name .. ": " .. word)
        end
      end
    end
  end)

  it("error codes, with what they mean", function()
    local real, told = {}, {}
    for code, each in pairs(core.codes) do real[code] = each.text end
    for _, each in ipairs(types["collegedb.ErrorCode"].type) do told[each.value] = each.doc end
    assert.same(real, told)
  end)

  it("options of long operations", function()
    local db = fixture.open(fixture.config())
    local mapper <close> = collegedb.KVShardMapper "memory:"
    local name = db:list_known_shards()[1]
    local calls = {
      IntegrateOptions = function(opts) db:integrate(name, opts) end,
      VerifyOptions = function(opts) db:verify(opts) end,
      RebalanceOptions = function(opts) db:rebalance(opts) end,
      KVShardMapperOptions = function(opts) collegedb.KVShardMapper("memory:", opts) end,
      ExistingOptions = function(opts) collegedb.integrate_existing_database("a.db", "a", mapper, opts) end,
    }
    for class, call in pairs(calls) do
      local done, err = pcall(call, { ["no-such-option"] = true })
      assert.is_false(done)
      local real, told = {}, {}
      local list = err.message:match "takes (.*)$" or err.message:match "there are (.*)$"
      for option in list:gsub(" and ", ", "):gmatch "[%l_]+" do real[option] = true end
      for _, field in ipairs(types["collegedb." .. class].fields) do told[field.name] = true end
      assert.same(sorted(real), sorted(told), class)
    end
  end)
end)

describe("what calls return has the shape that the annotations say:", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local function is(class, value)
    assert.is_nil(shapes.check(value, { kind = "name", name = "collegedb." .. class, args = {} }, types))
  end

  -- What a method of the annotations returns.
  local function returned_by(name, ...)
    local class, method = name:match "^(%a+)%.(.*)$"
    local told = names_of("collegedb." .. (class or "Database"))[method or name].returns
    assert(select("#", ...) <= #told, name)
    for i, each in ipairs(told) do assert.is_nil(shapes.check((select(i, ...)), each.type, types)) end
  end

  it("tells what is not so", function()
    local report = { success = true }
    local kind = { kind = "name", name = "collegedb.MigrationReport", args = {} }
    assert.matches("it%.migration_needed is a nil", shapes.check(report, kind, types))
    assert.matches("it is a string", shapes.check("x", kind, types))
    kind.name = "collegedb.Pace"
    assert.matches("it%.x is not told of", shapes.check({ x = 1 }, kind, types))
  end)

  it("a config", function()
    local pick = function(_, shards) return shards[1].name end
    local config = { kv = "d.db", shards = { a = "a.db", b = { "b.db", weight = 2, region = "weur" } },
      strategy = { read = "hash", write = pick }, auto_migrate = false, rules = { name = "mine" } }
    is("Config", config)
    config.shards = { { name = "a", collegedb.sqlite "a.db" } }
    is("Config", config)
    config.shards[1].synchronous = "sometimes"
    assert.matches("it%.shards", shapes.check(config, { kind = "name", name = "collegedb.Config", args = {} }, types))
  end)

  it("reports", function()
    local schema = "CREATE TABLE users (id TEXT PRIMARY KEY, n INTEGER); CREATE TABLE odd (x TEXT);"
    for _, name in ipairs { "a", "b" } do
      fixture.sqlite(name .. ".db", schema .. ("INSERT INTO users VALUES ('both', 1), ('%s', 2);"):format(name))
    end
    local db = fixture.open(fixture.config { auto_migrate = false })
    is("Result", db:run("a", "SELECT * FROM users WHERE id = 'a'"))
    is("Result", db:insert("new", "INSERT INTO users VALUES ('new', NULL)"))
    for _, name in ipairs { "a", "b" } do is("IntegrationReport", db:integrate(name)) end
    assert.equal(1, db:integration_report("b").conflict_count)
    for _, stats in ipairs(db:get_shard_stats()) do is("ShardStats", stats) end
    local report = db:verify()
    assert.is_true(#report.findings > 0)
    is("VerifyReport", report)
    local to = db:locate "new" == "a" and "b" or "a"
    is("MoveReport", db:reassign_shard("new", to))
    is("RebalanceReport", db:rebalance { dry_run = true })
    returned_by("add_shard", db:add_shard { name = "c", fixture.path "c.db" })
    is("RebalanceReport", db:rebalance())
    is("RebalanceReport", db:drain "c")
    returned_by("rollback", db:rollback "b")
    is("TableValidation", collegedb.validate_table_for_sharding(db:shard "a", "users"))
    is("TableValidation", collegedb.validate_table_for_sharding(db:shard "a", "odd"))
    is("MigrationReport", collegedb.auto_detect_and_migrate(db:shard "b", "b", db))
    local _, err = pcall(db.run, db, "x", "SELECT nothing")
    is("Error", err)
    for _, name in ipairs { "statistics", "health", "metrics" } do returned_by(name, db[name](db)) end
  end)

  it("what is said of keys, shards and entries", function()
    local db = fixture.database "CREATE TABLE users (id TEXT PRIMARY KEY); CREATE TABLE posts (id INTEGER PRIMARY KEY)"
    db:insert("ada", "INSERT INTO users VALUES ('ada')")
    returned_by("locate", db:locate "ada")
    returned_by("locate", db:locate(db:key("posts", 1)))
    returned_by("count", db:count "users")
    returned_by("list_known_shards", db:list_known_shards())
    returned_by("run_all_shards", db:run_all_shards "SELECT * FROM users")
    returned_by("batch", db:batch("ada", { { "SELECT ?", { 1 } }, { "SELECT 2" } }))
    returned_by("all", db:all("ada", "SELECT * FROM users"))
    returned_by("first", db:first("ada", "SELECT * FROM users WHERE id = 'nobody'"))
    local step, _, _, cursor = db:each("ada", "SELECT * FROM users")
    returned_by("each", step, nil, nil, cursor)
    getmetatable(cursor).__close(cursor)
    local shard, mapper = db:shard "a", db:mapper()
    returned_by("Shard.batch", shard:batch { { "SELECT 1" } })
    returned_by("Shard.size", shard:size())
    returned_by("Mapper.get_shard_mapping", mapper:get_shard_mapping "ada")
    returned_by("Mapper.get_shard_mapping", mapper:get_shard_mapping "nobody")
    returned_by("Mapper.set_shard_mappings_batch", mapper:set_shard_mappings_batch { { "x", "a" }, { "y", "b" } })
    returned_by("Mapper.delete_shard_mapping", mapper:delete_shard_mapping "x")
    returned_by("Mapper.get_keys_for_shard", mapper:get_keys_for_shard "a")
    returned_by("Mapper.get_shard_key_counts", mapper:get_shard_key_counts())
    returned_by("Mapper.get_known_shards", mapper:get_known_shards())
    returned_by("Mapper.clear_all_mappings", mapper:clear_all_mappings())
  end)

  it("the state of integration in the background", function()
    fixture.sqlite("a.db", "CREATE TABLE users (id TEXT PRIMARY KEY); INSERT INTO users VALUES ('x')")
    local db = fixture.open(fixture.config { auto_migrate = "background" })
    is("IntegrationState", db:integration "a")
    db:wait_integration()
    is("IntegrationState", db:integration "a")
  end)

  it("what scripts are told", function()
    fixture.sqlite("a.db", [[CREATE TABLE users (id TEXT PRIMARY KEY); CREATE TABLE posts (id INTEGER PRIMARY KEY,
      user TEXT REFERENCES users ON DELETE CASCADE); INSERT INTO users VALUES ('x')]])
    local base, seen = require "collegedb.rules.default", {}
    local db = fixture.open(fixture.config {
      strategy = function(_, shards, ctx)
        for _, shard in ipairs(shards) do
          seen.shard = { name = shard.name, keys = shard.keys, size = shard.size, weight = shard.weight,
            region = shard.region, priority = shard.priority }
          is("ShardView", seen.shard)
        end
        is("StrategyContext", ctx)
        return shards[1].name
      end,
      rules = { table = function(info, catalog)
        is("TableInfo", { name = info.name, shard = info.shard, kind = info.kind, columns = info.columns,
          primary_key = info.primary_key, foreign_keys = info.foreign_keys, unique = info.unique,
          triggers = info.triggers, row_count = info.row_count })
        seen.info = true
        local key = base.table(info, catalog)
        is("TableKey", key)
        return key
      end },
      on_event = function(event) seen[event.event] = event end, -- what it raises would be ignored
      slow_query = 1e-6,
    })
    db:insert("new", "INSERT INTO users VALUES ('new')")
    db:first("new", "SELECT * FROM users")
    is("Event", seen.integrated)
    is("Event", seen.slow)
    db:rebalance { dry_run = true, policy = { plan = function(shards, ctx)
      is("PolicyContext", ctx)
      seen.policy = #shards
      return function(_, _, info)
        is("PolicyInfo", { home = info.home, has_entry = info.has_entry, table = info.table })
        seen.key = true
      end
    end } }
    assert.truthy(seen.shard and seen.info and seen.policy and seen.key)
  end)
end)

-- It is in no Debian package, and npm's are not the program; so that it is missing is no failure, under CI neither.
describe("lua-language-server", function()
  it("finds what is wrong in a program, and nothing in one that is right", function()
    if not os.execute "command -v lua-language-server >/dev/null 2>&1" then
      return pending "there is no lua-language-server on the PATH"
    end
    local folder = process.new_folder()
    local root = process.run({ "pwd" }).stdout:gsub("\n$", "")
    process.write(folder .. "/.luarc.json",
      ('{ "runtime.version": "Lua 5.4", "workspace.library": ["%s/types"] }'):format(root))
    local program = [[
      local collegedb = require "collegedb"
      local db <close> = collegedb.open { kv = "k.db", shards = { { name = "a", "a.db" } }, strategy = "hash" }
      print(db:first("k", "SELECT 1"), collegedb.null)
      db:transaction("k", function(tx) tx:run "SELECT 1" end)
    ]]
    process.write(folder .. "/program.lua", program)
    local words = { "lua-language-server", "--check", folder, "--checklevel=Warning",
      "--configpath=" .. folder .. "/.luarc.json" }
    local good = process.run(words, { timeout = 120 })
    assert.matches("[Nn]o problems", good.stdout)
    for right, wrong in pairs { ["db:first"] = "db:frist", ["strategy ="] = "stratgey =", ["tx:run"] = "tx:rum" } do
      process.write(folder .. "/program.lua", (program:gsub(right, wrong)))
      local bad = process.run(words, { timeout = 120 })
      assert.is_nil(bad.stdout:find "[Nn]o problems", wrong)
    end
    process.remove(folder)
  end)
end)
