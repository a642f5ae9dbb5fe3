-- The commands of the program `collegedb`, run as a user runs them, on real files.

local process = require "spec.support.process"

describe("a command", function()
  local folder

  before_each(function() folder = process.new_folder() end)
  after_each(function() process.remove(folder) end)

  local function collegedb(words, env)
    return process.run({ process.collegedb, table.unpack(words) }, { folder = folder, env = env })
  end

  local function write(name, text) process.write(folder .. "/" .. name, text) end
  local function read(name) return process.read(folder .. "/" .. name) end

  local function sqlite(name, sql)
    local result = process.run({ "sqlite3", "-bail", name, sql }, { folder = folder })
    assert.equal("", result.stderr)
    return result.stdout
  end

  local function done(result)
    assert.equal("", result.stderr)
    assert.equal(0, result.status)
    return result.stdout
  end

  ---A failed command: its status, nothing on standard output, and one line that names the command.
  local function failed(status, result, pattern)
    assert.equal(status, result.status)
    assert.equal("", result.stdout)
    assert.matches("^collegedb [%w_-]+: [^\n]+\n$", result.stderr)
    assert.matches(pattern, result.stderr)
  end

  local function misused(words, pattern)
    local result = collegedb(words)
    assert.equal(2, result.status)
    assert.equal("", result.stdout)
    assert.matches(pattern, result.stderr)
  end

  ---Two shards that number their rows on their own, `users` by text and `posts` by integer.
  local function existing_files()
    write("collegedb.lua", [[return {
      kv = "directory.db",
      shards = { { name = "east", "east.db" }, { name = "west", "west.db" } },
      auto_migrate = false,
    }]])
    local schema = [[
      CREATE TABLE users (email TEXT PRIMARY KEY, name TEXT);
      CREATE TABLE posts (id INTEGER PRIMARY KEY, title TEXT);
    ]]
    sqlite("east.db", schema .. [[
      INSERT INTO users VALUES ('ada@x', 'Ada'), ('both@x', 'East');
      INSERT INTO posts VALUES (1, 'one'), (9007199254740993, 'large');
    ]])
    sqlite("west.db", schema .. "INSERT INTO users VALUES ('bob@x', 'Bob'), ('both@x', 'West')")
  end

  describe("is found", function()
    it("by name among the shipped ones, which help lists", function()
      local listed = done(collegedb { "help" })
      for _, name in ipairs { "help", "init", "integrate", "locate", "query", "status" } do
        assert.matches("\n" .. name .. " +%u", "\n" .. listed)
      end
      assert.matches("^Usage: collegedb init", done(collegedb { "help", "init" }))
      assert.equal(done(collegedb { "init", "--help" }), done(collegedb { "help", "init" }))
      failed(2, collegedb { "help", "nosuch" }, "there is no command 'nosuch'")
    end)

    it("in the config's script_dirs, then in COLLEGEDB_PATH", function()
      write("collegedb.lua", "return { kv = 'd.db', shards = { { name = 'a', 'a.db' } }, script_dirs = { 'mine' } }")
      os.execute(("cd %s && mkdir -p mine/scripts theirs/scripts"):format(process.quote(folder)))
      write("mine/scripts/one.lua", "return { summary = 'x', run = function() print 'mine' end }")
      write("theirs/one.lua", "return { summary = 'x', run = function() print 'theirs' end }")
      write("theirs/two.lua", "return { summary = 'x', run = function() print 'theirs' end }")
      write("theirs/scripts/status.lua", "return { summary = 'x', run = function() print 'my status' end }")
      local env = { COLLEGEDB_PATH = "nowhere;theirs" }
      assert.equal("mine\n", done(collegedb({ "one" }, env)))
      assert.equal("theirs\n", done(collegedb({ "two" }, env)))
      assert.equal("my status\n", done(collegedb({ "status" }, env)))
      local listed = done(collegedb({ "help" }, env))
      assert.matches("\none +x +mine/scripts/one.lua\n", listed)
      assert.matches("\nstatus +x +theirs/scripts/status.lua\n", listed)
    end)

    it("or not, and then the known ones are named", function()
      failed(2, collegedb { "nosuch" },
        "there is no command 'nosuch'; there are: .*doctor, .*help, init, integrate, locate, metrics, move,")
      assert.matches("^collegedb no such: there is no command 'no such'[^\n]+\n$", collegedb { "no\nsuch" }.stderr)
      write("program", "")
      failed(2, collegedb { "program" }, "to run the file, write %./program")
      write("collegedb.lua", "return nothing.here")
      failed(2, collegedb { "nosuch" }, "the config could not be asked: .*collegedb.lua:1: attempt to index")
    end)
  end)

  describe("that a user wrote", function()
    local env = { COLLEGEDB_PATH = "." }

    before_each(existing_files)

    it("gets its arguments, the config and a database", function()
      write("mine.lua", [[return {
        summary = "Count.", usage = "mine NAME [--twice]",
        options = function(parser)
          parser:argument "name"
          parser:flag "--twice"
        end,
        run = function(ctx)
          print(ctx.args.name, ctx.args.twice, ctx.config.kv, #ctx.db:list_known_shards())
          print(rawequal(ctx.db, ctx.db), ctx.nothing)
          ctx.progress(1, 2, "going")
          ctx.print_table({ { n = 1, t = "é" }, { n = 22, t = "a\nb" }, { t = "\255" } }, { "n", "t" })
          return 7
        end,
      }]])
      local result = collegedb({ "mine", "x", "--twice" }, env)
      assert.equal("x\ttrue\tdirectory.db\t2\ntrue\tnil\n n  t\n 1  é\n22  a\\nb\n    x'ff'\n", result.stdout)
      assert.equal("", result.stderr)
      assert.equal(7, result.status)
      local json = collegedb({ "mine", "x", "--json" }, env).stdout
      assert.equal('[{"n":1,"t":"é"},{"n":22,"t":"a\\nb"},{"t":{"$blob":"ff"}}]', json:match "[^\n]*%]")
      local misuse = collegedb({ "mine" }, env)
      assert.equal(2, misuse.status)
      assert.matches("^collegedb mine: missing argument 'name'\nUsage: collegedb mine NAME %[%-%-twice%]\n$",
        misuse.stderr)
    end)

    it("shows progress to a terminal, and to nobody else", function()
      write("mine.lua", [[return { run = function(ctx)
        ctx.progress(1, 4, "rows")
        ctx.progress()
        print 'done'
      end }]])
      assert.equal("done\n", done(collegedb({ "mine" }, env)))
      local terminal = process.run({ "script", "-qec", process.quote(process.collegedb) .. " mine", "/dev/null" },
        { folder = folder, env = { COLLEGEDB_PATH = ".", LC_ALL = "C" } })
      assert.matches("^\r\27%[Krows  #####%.+  25 %%  1 of 4\r\27%[Kdone", terminal.stdout)
    end)

    it("may be a plain script", function()
      write("plain.lua", "print('plain', arg[0], arg[1], ...)")
      assert.equal("plain\t./plain.lua\t--x\t--x\ty\n", done(collegedb({ "plain", "--x", "y" }, env)))
    end)

    it("fails with one line, whatever it raises", function()
      for raised, pattern in pairs {
        ["error 'two\\nlines'"] = "^collegedb mine: %./mine.lua:1: two lines\n",
        ["error({})"] = "^collegedb mine: table: ",
        ["error()"] = "^collegedb mine: nil\n",
        ["ctx.db:all('x', 'SELECT * FROM nowhere')"] = "^collegedb mine: .*SQL: .*nowhere",
        ["return 'yes'"] = "returned yes; it returns an exit status",
        ["return 256"] = "returned 256; it returns an exit status",
      } do
        write("mine.lua", "return { run = function(ctx) " .. raised .. " end }")
        failed(1, collegedb({ "mine" }, env), pattern)
      end
      write("mine.lua", "return { run = function(ctx) ctx.usage_error 'not so' end }")
      failed(2, collegedb({ "mine" }, env), "^collegedb mine: not so\n$")
      write("mine.lua", "return { run = 1 }")
      failed(1, collegedb({ "mine" }, env), "the command's run is a number")
      write("mine.lua", "x = = 1")
      failed(1, collegedb({ "mine" }, env), "mine.lua:1: unexpected symbol")
    end)

    it("leaves no open database when it fails", function()
      write("mine.lua", "return { run = function(ctx) ctx.db:all('ada@x', 'SELECT * FROM users') error 'no' end }")
      failed(1, collegedb({ "mine" }, env), "no\n$")
      assert.is_nil(read "directory.db-wal")
    end)

    it("ends with 130 when it is interrupted", function()
      write("mine.lua", [[return { run = function()
        io.popen('sleep 0.2; kill -INT ' .. io.open('/proc/self/stat'):read('n'))
        while true do end
      end }]])
      failed(130, collegedb({ "mine" }, env), "interrupted")
    end)
  end)

  describe("reads the config", function()
    it("from the file that --config names", function()
      existing_files()
      os.execute(("cd %s && mkdir etc && mv collegedb.lua etc/c.lua"):format(process.quote(folder)))
      failed(1, collegedb { "status" }, "CONFIG: there is no config file %./collegedb.lua: `collegedb init` writes one")
      assert.matches("east", done(collegedb { "status", "--config", "etc/c.lua" }))
      assert.matches("east", done(collegedb { "status", "--config=etc/c.lua" }))
    end)

    it("and names the file and line where it fails", function()
      write("collegedb.lua", "\nerror 'no config today'")
      failed(1, collegedb { "status" }, "SCRIPT: %./collegedb.lua:2: no config today")
      write("collegedb.lua", "\n\nreturn {")
      failed(1, collegedb { "status" }, "SCRIPT: %./collegedb.lua:3: ")
      write("collegedb.lua", "return 7")
      failed(1, collegedb { "status" }, "CONFIG: %./collegedb.lua must return a table, and returned a number")
      write("collegedb.lua", string.dump(load "return {}"))
      failed(1, collegedb { "status" }, "SCRIPT: .*binary chunk")
      write("collegedb.lua", "return { kv = 'd.db', shards = { { name = 'a', 'a.db' } }, nonsense = 1 }")
      failed(1, collegedb { "status" }, "CONFIG: .*nonsense")
    end)
  end)

  describe("init", function()
    it("writes a config and empty shards that work", function()
      assert.equal("wrote ./collegedb.lua, ./directory.db, ./shard-1.db, ./shard-2.db\n", done(collegedb { "init" }))
      assert.equal("wal\n", sqlite("shard-2.db", "PRAGMA journal_mode"))
      done(collegedb { "query", "--all", "CREATE TABLE t (id TEXT PRIMARY KEY, v)" })
      done(collegedb { "query", "k", "INSERT INTO t VALUES (?, ?)", "k", "1" })
      assert.matches('"results":%[{"id":"k","v":1}%]',
        done(collegedb { "query", "k", "SELECT * FROM t WHERE id = ?", "k", "--json" }))
    end)

    it("writes to a folder, with as many shards as asked for", function()
      local stdout = done(collegedb { "init", "--shards", "3", "data", "--json" })
      assert.matches('^{"files":%["data/collegedb.lua",.*"data/shard%-3.db"%],"written":true}\n$', stdout)
      local status = process.run({ process.collegedb, "status" }, { folder = folder .. "/data" })
      assert.equal(0, status.status)
      assert.matches("shard%-3", status.stdout)
    end)

    it("overwrites nothing", function()
      done(collegedb { "init" })
      local config = read "collegedb.lua"
      failed(1, collegedb { "init" }, "%./collegedb.lua is there already; nothing was written")
      os.remove(folder .. "/collegedb.lua")
      failed(1, collegedb { "init" }, "%./directory.db is there already; nothing was written")
      assert.is_nil(read "collegedb.lua")
      assert.matches("shard%-2", config)
    end)

    it("only says with --dry-run", function()
      assert.matches("^would write ./collegedb.lua", done(collegedb { "init", "--dry-run" }))
      assert.is_nil(read "collegedb.lua")
      assert.is_nil(read "shard-1.db")
    end)

    it("is told when it is used wrongly", function()
      misused({ "init", "--shards", "many" }, "^collegedb init: .*'many'\nUsage: collegedb init")
      misused({ "init", "--shards", "0" }, "from 1 to 1000")
      misused({ "init", "a", "b" }, "too many arguments\nUsage: ")
      misused({ "init", "--frob" }, "unknown option '%-%-frob'\nUsage: ")
    end)
  end)

  describe("status", function()
    it("shows shards, keys, bytes and the balance", function()
      existing_files()
      local stdout = done(collegedb({ "status" }, { LC_ALL = "C" }))
      assert.matches("^shard +keys +share +bytes +integrated +state +latency\n"
        .. "east +4 +66.7 %%  #+ +[%d.]+ KiB  #+ +no +open +%d", stdout)
      assert.matches("\nwest +2 +33.3 %%  #+%.+ +[%d.]+ KiB  #+ +no +open +%d", stdout)
      assert.matches("\nbalance: east has 1.3 times its part of the keys; bytes are even\n", stdout)
      assert.matches('^{.*"shards":%[{"binding":"east",.*"count":4,.*}%].*}\n$', done(collegedb { "status", "--json" }))
      misused({ "status", "more" }, "too many arguments")
    end)
  end)

  describe("locate", function()
    it("says where a key is, and fails for one that is nowhere", function()
      existing_files()
      assert.matches("^west %(.+%)\n$", done(collegedb { "locate", "bob@x" }))
      assert.matches("^east %(.+%)\n$", done(collegedb { "locate", "9007199254740993", "--table", "posts" }))
      assert.matches('^{"how":".+","key":"bob@x","shard":"west"}\n$', done(collegedb { "locate", "bob@x", "--json" }))
      misused({ "locate" }, "missing argument 'key'")
    end)
  end)

  describe("query", function()
    before_each(existing_files)

    it("runs on the shard of the key", function()
      assert.equal("email  name\nbob@x  Bob\n",
        done(collegedb { "query", "bob@x", "SELECT * FROM users WHERE email = ?", "bob@x" }))
      assert.equal("1 changed on west\n",
        done(collegedb { "query", "bob@x", "UPDATE users SET name = ? WHERE email = ?", "null", "bob@x" }))
      assert.equal("1\n", sqlite("west.db", "SELECT count(*) FROM users WHERE name IS NULL"))
    end)

    it("keeps integers whole, as key, parameter and result", function()
      local whole = done(collegedb { "query", "--json", "9007199254740993",
        "SELECT id, typeof(?2) AS t, ?2 AS v FROM posts WHERE id = ?1", "--", "9007199254740993",
        "-9223372036854775808" })
      assert.matches('"results":%[{"id":9007199254740993,"t":"integer","v":%-9223372036854775808}%]', whole)
      local types = "SELECT typeof(?) AS a, typeof(?) AS b, typeof(?) AS c, typeof(?) AS d"
      assert.equal("a     b        c     d\nnull  integer  text  text\n",
        done(collegedb { "query", "--shard", "east", types, "null", "17", "017", "1.5" }))
      assert.equal("a     b     c     d\ntext  text  text  text\n",
        done(collegedb { "query", "--shard", "east", "--text", types, "null", "17", "017", "1.5" }))
    end)

    it("runs on a named shard, or on all", function()
      assert.equal("n\n2\n", done(collegedb { "query", "--shard", "west", "SELECT count(*) AS n FROM users" }))
      assert.equal("(shard)  n\neast     2\nwest     2\n",
        done(collegedb { "query", "--all", "SELECT count(*) AS n FROM users" }))
      assert.equal("4 changed on 2 shards\n",
        done(collegedb { "query", "--all", "UPDATE users SET name = name || '!'" }))
      assert.matches('^{"east":{.*"results":%[{"n":2}%].*},"west":{.*}}\n$',
        done(collegedb { "query", "--all", "--json", "SELECT count(*) AS n FROM users" }))
    end)

    it("fails with the database's word, and tells wrong usage apart", function()
      failed(1, collegedb { "query", "k", "SELECT * FROM nowhere" }, "nowhere")
      failed(1, collegedb { "query", "--shard", "nowhere", "SELECT 1" }, "SHARD_NOT_FOUND")
      misused({ "query" }, "missing argument 'statement'\nUsage: ")
      misused({ "query", "SELECT 1" }, "takes a KEY before it, or %-%-shard NAME, or %-%-all\n")
      misused({ "query", "--all", "--shard", "east", "SELECT 1" }, "either %-%-shard or %-%-all")
    end)
  end)

  describe("integrate", function()
    before_each(existing_files)

    it("takes shards over, lists conflicts, and ends with 3 then", function()
      local result = collegedb { "integrate" }
      assert.equal("", result.stderr)
      assert.equal(3, result.status)
      assert.matches("east: 2 tables, 4 records, ", result.stdout)
      assert.matches("west: 2 tables, 2 records, .* 1 conflicts\n", result.stdout)
      assert.matches("conflict: both@x .*west.*east", result.stdout)
      assert.matches("\neast .* yes ", done(collegedb { "status" }))
      assert.equal("East\n", sqlite("east.db", "SELECT name FROM users WHERE email = 'both@x'"))
      assert.equal("West\n", sqlite("west.db", "SELECT name FROM users WHERE email = 'both@x'"))
    end)

    it("takes one shard, and some tables, over", function()
      assert.matches("^east: 1 tables, 2 records, [^\n]*\n$",
        done(collegedb { "integrate", "east", "--tables", "posts" }))
      assert.matches('^%[{"conflict_count":0,.*"shard_name":"east",.*}%]\n$',
        done(collegedb { "integrate", "east", "--json" }))
      failed(1, collegedb { "integrate", "nowhere" }, "SHARD_NOT_FOUND")
    end)

    it("changes nothing with --dry-run", function()
      done(collegedb { "integrate", "east" })
      local result = collegedb { "integrate", "--dry-run", "west" }
      assert.equal(3, result.status)
      assert.matches("west: 2 tables, 2 records, [^\n]* 1 conflicts\n", result.stdout)
      assert.matches("\nwest .* no ", done(collegedb { "status" }))
    end)
  end)
end)
