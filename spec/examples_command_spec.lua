-- The command and the strategy of examples/, used as a user would: through COLLEGEDB_PATH, and through script_dirs.

local fixture = require "spec.support.fixture"
local process = require "spec.support.process"

local pipe <const> = assert(io.popen "pwd")
local examples <const> = pipe:read "l" .. "/examples"
pipe:close()

local SCHEMA <const> = [[
  CREATE TABLE users (id TEXT PRIMARY KEY);
  CREATE TABLE "odd ""name" (id INTEGER PRIMARY KEY);
]]

describe("the examples", function()
  before_each(fixture.start)
  after_each(fixture.stop)

  local interpreter = process.collegedb
  if interpreter:sub(1, 1) ~= "/" then interpreter = examples:gsub("examples$", "") .. interpreter end

  local function run(words, env)
    return process.run({ interpreter, table.unpack(words) }, { folder = fixture.path ".", env = env })
  end

  local function write_config(more)
    fixture.write("collegedb.lua", ([[return {
      kv = "directory.db", shards = { { name = "a", "a.db" }, { name = "b", "b.db" } }, %s
    }]]):format(more or ""))
  end

  local function fill()
    fixture.sqlite("a.db", SCHEMA .. [[INSERT INTO users VALUES ('u1'), ('u2'), ('u3');
      INSERT INTO "odd ""name" VALUES (1)]])
    fixture.sqlite("b.db", SCHEMA .. "INSERT INTO users VALUES ('u4')")
  end

  local through = {
    ["COLLEGEDB_PATH"] = function()
      write_config()
      return { COLLEGEDB_PATH = examples }
    end,
    ["the folder of commands in COLLEGEDB_PATH"] = function()
      write_config()
      return { COLLEGEDB_PATH = examples .. "/commands" }
    end,
    ["script_dirs"] = function() write_config(("script_dirs = { %q }"):format(examples)) end,
  }
  for way, prepare in pairs(through) do
    it("biggest shows the largest tables, found through " .. way, function()
      fill()
      local env = prepare()
      local result = run({ "biggest", "--top", "3" }, env)
      assert.same({ 0, "" }, { result.status, result.stderr })
      assert.equal('table      shard  rows\nusers      a         3\nodd "name  a         1\nusers      b         1\n',
        result.stdout)
      assert.equal('[{"rows":3,"shard":"a","table":"users"}]\n', run({ "biggest", "--top=1", "--json" }, env).stdout)
      assert.matches("\nbiggest +Show the tables with the most rows, shard by shard%. +" .. examples:gsub("%p", "%%%0"),
        run({ "help" }, env).stdout)
      assert.matches("^Usage: collegedb biggest %[%-%-top N%]\n", run({ "help", "biggest" }, env).stdout)
      for _, wrong in ipairs { "0", "many" } do
        assert.equal(2, run({ "biggest", "--top", wrong }, env).status)
      end
    end)
  end

  it("biggest works where there are no tables yet", function()
    write_config()
    local result = run({ "biggest" }, { COLLEGEDB_PATH = examples })
    assert.same({ 0, "", "table  shard  rows\n" }, { result.status, result.stderr, result.stdout })
  end)

  it("least_keys fills the emptier shard, through COLLEGEDB_PATH and script_dirs", function()
    fill()
    write_config 'strategy = "least_keys"'
    local insert = { "query", "new1", "INSERT INTO users VALUES ('new1')" }
    assert.equal("1 changed on b\n", run(insert, { COLLEGEDB_PATH = examples }).stdout)
    write_config(("strategy = 'least-keys', script_dirs = { %q }"):format(examples))
    insert = { "query", "new2", "INSERT INTO users VALUES ('new2')" }
    assert.equal("1 changed on b\n", run(insert).stdout)
    local status = run { "status" }.stdout
    assert.matches("\na +4 .*\nb +3 ", status)
  end)
end)
