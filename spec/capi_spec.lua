-- include/collegedb.h from C programs: the example, linked both ways; one that calls everything wrongly; one that runs
-- out of memory.

local process = require "spec.support.process"

local compiler = os.getenv "CC" or "gcc"
local cxx = os.getenv "CXX" or (compiler:find "clang" and "clang++" or "g++")
local sanitize = os.getenv "CDB_SANITIZE" or ""
local coverage = os.getenv "CDB_COVERAGE" or ""
local libraries = "$(pkg-config --libs lua5.4 sqlite3 nettle) -lm -pthread"
local root = process.run({ "pwd" }).stdout:gsub("\n$", "")
local build = process.build:sub(1, 1) == "/" and process.build or root .. "/" .. process.build

---Runs a line of the shell; the test fails with what it printed if it fails.
local function shell(line, timeout)
  local result = process.run({ "sh", "-c", line }, { timeout = timeout or 120 })
  assert.equal(0, result.status, line .. "\n" .. result.stdout .. result.stderr)
  return result.stdout
end

---@param source string in the source tree
---@param program string where to
---@param library string "static" or "shared"
---@param more string? flags
local function compile(source, program, library, more)
  local flags = (more or "") .. " -std=c11 -g -Wall -Wextra -Wshadow -Wconversion -Werror -Iinclude"
  if sanitize ~= "" then
    flags = ("%s -fsanitize=%s -fno-sanitize-recover=all%s"):format(flags, sanitize,
      compiler:find "clang" and " -shared-libsan" or "")
  end
  local linked = library == "static" and process.quote(build .. "/libcollegedb.a") .. " " .. libraries
    or ("-L%s -lcollegedb -Wl,-rpath,%s"):format(process.quote(build), process.quote(build))
  if coverage ~= "" then linked = linked .. " -lgcov" end -- the library is counted, the program is not
  shell(("%s %s -o %s %s %s"):format(compiler, flags, process.quote(program), source, linked))
end

---Runs one of the programs in a folder, where it finds no Lua files but those that the library carries.
local function run(program, folder, argument)
  return process.run({ program, argument }, { folder = folder, timeout = 120, env = { LUA_PATH = "", LUA_CPATH = "" } })
end

local function lines(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do list[#list + 1] = line end
  return list
end

describe("the C interface", function()
  local folder, files

  setup(function() folder = process.new_folder() end)
  teardown(function() process.remove(folder) end)
  before_each(function() files = process.new_folder() end)
  after_each(function() process.remove(files) end)

  for _, library in ipairs { "static", "shared" } do
    it("runs the example, linked to the " .. library .. " library", function()
      local host = folder .. "/host-" .. library
      compile("examples/c/host.c", host, library)
      local first = run(host, files, root .. "/examples/c/config.lua")
      assert.equal("", first.stderr)
      assert.equal(0, first.status)
      local printed = lines(first.stdout)
      assert.equal("ada: 1 row changed", printed[1])
      assert.matches("^ada is on db%-", printed[2])
      assert.equal("id = ada, name = Ada Lovelace, age = 36, photo = 3 bytes", printed[3])
      assert.matches("^a second ada: CONSTRAINT: UNIQUE constraint failed: users%.id %(shard db%-%a+%)$",
        printed[#printed])
      -- Once more, over the rows of the first time, which it deletes.
      local second = run(host, files, root .. "/examples/c/config.lua")
      assert.equal(0, second.status)
      assert.equal(#printed + 4, #lines(second.stdout))
      local names = process.run({ "ls" }, { folder = files }).stdout
      assert.equal("directory.db\neast.db\nwest.db\n", (names:gsub("directory%.db%-users\n", "")))
    end)
  end

  it("serves the example with a Lua state of its own", function()
    local host = folder .. "/lua_host"
    compile("examples/c/lua_host.c", host, "static", " $(pkg-config --cflags lua5.4)")
    local result = process.run({ host, root .. "/examples/c/visits.lua", "ada", "ben", "ada" },
      { folder = files, env = { LUA_PATH = "", LUA_CPATH = "" } })
    assert.same({ 0, "" }, { result.status, result.stderr })
    assert.equal("hello, ada\nada was here 1 times\nhello, ben\nben was here 1 times\nhello, ada\n"
      .. "ada was here 2 times\n", result.stdout)
    process.write(files .. "/bad.lua", "require 'collegedb'.open {}")
    result = run(host, files, "bad.lua")
    assert.equal("lua_host: bad.lua:1: CONFIG: kv is missing: the directory's path, or \"memory:\"\n", result.stderr)
    assert.equal(1, result.status)
  end)

  it("has the same line for linking in the examples", function()
    for _, name in ipairs { "host", "lua_host" } do
      local line = process.read("examples/c/" .. name .. ".c"):gsub("\\\n %*", ""):gsub(" +", " ")
      assert.truthy(line:find("libcollegedb.a " .. libraries, 1, true))
    end
  end)

  it("says what is wrong with a config", function()
    local host = folder .. "/host-static"
    process.write(files .. "/bad.lua", "return { kv = 'memory:', shards = {} }")
    local result = run(host, files, "bad.lua")
    assert.equal("host: CONFIG: shards is empty: at least one shard is needed\n", result.stderr)
    assert.equal(1, result.status)
  end)

  it("withstands a hostile program", function()
    compile("spec/capi/hostile.c", folder .. "/hostile", "static")
    local result = run(folder .. "/hostile", files)
    assert.equal("ok\n", result.stdout .. result.stderr)
    assert.equal(0, result.status)
  end)

  it("withstands the end of memory", function()
    if sanitize ~= "" then pending "sanitizers have an allocator of their own" end
    if coverage ~= "" then pending "it takes minutes to count" end
    compile("spec/capi/starve.c", folder .. "/starve", "static")
    local result = run(folder .. "/starve", files)
    assert.matches("ok\n$", result.stdout .. result.stderr)
    assert.equal(0, result.status)
  end)

  it("can be included by C++", function()
    if not os.execute("command -v " .. cxx .. " >/dev/null") then
      assert.is_nil(os.getenv "CI", "no C++ compiler")
      pending "no C++ compiler"
    end
    process.write(files .. "/host.cc", [[
      #include <collegedb.h>
      #include <collegedb_lua.h>
      int main() {
        cdb *db = nullptr;
        cdb_error err;
        return cdb_open(&db, nullptr, &err) == CDB_USAGE ? 0 : luaopen_collegedb(nullptr);
      }]])
    local flags = "-std=c++17 -Wall -Wextra -pedantic -Werror -Iinclude $(pkg-config --cflags lua5.4)"
    shell(("%s %s -c -o %s/host.o %s/host.cc"):format(cxx, flags, files, files))
  end)

  it("exports nothing else", function()
    if coverage ~= "" then pending "gcov has names of its own" end
    local defined = shell("nm -D --defined-only " .. process.quote(build .. "/libcollegedb.so"))
    local expected = {}
    local header = process.read "include/collegedb.h" .. process.read "include/collegedb_lua.h"
    for name in header:gmatch "\nCDB_API [^;(]-([%w_]+)%(" do expected[#expected + 1] = name end
    local found = {}
    for kind, name in defined:gmatch "%x+ (%a) ([%w_]+)\n" do
      -- Sanitizers give every file symbols of theirs.
      if not (sanitize ~= "" and name:find "^_") then
        assert.equal("T", kind, name)
        found[#found + 1] = name
      end
    end
    table.sort(expected)
    table.sort(found)
    assert.same(expected, found)
  end)
end)
