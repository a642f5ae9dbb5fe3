-- A C program with a Lua state of its own, as include/collegedb_lua.h describes it.

local process = require "spec.support.process"

describe("luaopen_collegedb", function()
  local folder, program

  setup(function()
    folder = process.new_folder()
    program = folder .. "/host"
    process.write(folder .. "/host.c", [[
      #include <stdio.h>
      #include <string.h>
      #include <lauxlib.h>
      #include <lualib.h>
      #include "collegedb_lua.h"

      /* host require|preload CHUNK */
      int main(int argc, char **argv) {
        lua_State *L = luaL_newstate();
        luaL_openlibs(L);
        if (argc == 3 && strcmp(argv[1], "preload") == 0) {
          luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
          lua_pushcfunction(L, luaopen_collegedb);
          lua_setfield(L, -2, "collegedb");
        } else {
          luaL_requiref(L, "collegedb", luaopen_collegedb, 0);
          luaL_requiref(L, "collegedb", luaopen_collegedb, 0);
          luaopen_collegedb(L);
        }
        int failed = luaL_dostring(L, argv[2]);
        if (failed) fprintf(stderr, "%s\n", lua_tostring(L, -1));
        lua_close(L);
        return failed;
      }
    ]])
    local sanitize = os.getenv "CDB_SANITIZE" or ""
    local build = process.quote(process.build)
    local result = process.run { "sh", "-c", table.concat({
      os.getenv "CC" or "gcc", "-std=c11 -Iinclude $(pkg-config --cflags lua5.4)",
      sanitize ~= "" and "-fsanitize=" .. sanitize or "", "-o", process.quote(program),
      process.quote(folder .. "/host.c"), "-L" .. build, "-lcollegedb -llua5.4 -Wl,-rpath," .. build,
    }, " ") }
    assert.equal("", result.stderr)
  end)

  teardown(function() process.remove(folder) end)

  local chunk = [[
    local collegedb = require "collegedb"
    local db <close> = collegedb.open { kv = "memory:", shards = { { name = "a", ":memory:" } } }
    db:ensure_schema "CREATE TABLE t (id TEXT PRIMARY KEY, v INTEGER)"
    db:run("k", "INSERT INTO t VALUES (?, ?)", { "k", 7 })
    print(db:first("k", "SELECT v FROM t WHERE id = ?", { "k" }).v, #package.searchers)
  ]]

  for _, way in ipairs { "require", "preload" } do
    it("gives a state the module, without any file, by " .. way, function()
      local result = process.run({ program, way, chunk },
        { folder = folder, env = { LUA_PATH = "./?.lua", LUA_CPATH = "./?.so" } })
      assert.equal("", result.stderr)
      assert.equal("7\t6\n", result.stdout)
      assert.equal(0, result.status)
    end)
  end
end)
