/* A program in C with a Lua state of its own, whose scripts use CollegeDB. A function of the program is there
 * beside it, so that scripts can call both.
 *
 * From the source tree, after `make`:
 *
 *   cc -o lua_host -Iinclude $(pkg-config --cflags lua5.4) examples/c/lua_host.c build/libcollegedb.a \
 *      $(pkg-config --libs lua5.4 sqlite3 nettle) -lm -pthread
 *
 * After `make install`:
 *
 *   cc -o lua_host examples/c/lua_host.c $(pkg-config --cflags --libs collegedb lua5.4)
 *
 * and then:
 *
 *   ./lua_host examples/c/visits.lua ada ben ada
 */
#include <stdio.h>

#include <collegedb_lua.h>
#include <lauxlib.h>
#include <lualib.h>

/* greet(name): a part of this program that scripts may call. */
static int greet(lua_State *L) {
  printf("hello, %s\n", luaL_checkstring(L, 1));
  return 0;
}

/* An error of CollegeDB is a table whose tostring says it in one line. */
static int message(lua_State *L) {
  luaL_tolstring(L, 1, NULL);
  return 1;
}

static int run(lua_State *L, int argc, char **argv) {
  lua_pushcfunction(L, message);
  const int handler = lua_gettop(L);
  if (luaL_loadfile(L, argv[1]) != LUA_OK) return LUA_ERRSYNTAX;
  for (int i = 2; i < argc; i++) lua_pushstring(L, argv[i]);
  return lua_pcall(L, argc - 2, 0, handler);
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: lua_host SCRIPT.lua [ARGUMENT…]\n");
    return 2;
  }
  lua_State *L = luaL_newstate();
  if (!L) return 1;
  luaL_openlibs(L);
  /* The Lua files of CollegeDB are inside the library: nothing else has to be installed. */
  luaL_requiref(L, "collegedb", luaopen_collegedb, 0);
  lua_pop(L, 1);
  lua_register(L, "greet", greet);
  const int status = run(L, argc, argv);
  if (status != LUA_OK) fprintf(stderr, "lua_host: %s\n", lua_tostring(L, -1));
  lua_close(L); /* closes the databases that are still open */
  return status == LUA_OK ? 0 : 1;
}
