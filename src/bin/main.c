/* The program `collegedb`: runs a Lua script as lua5.4 does, with collegedb
 * ready to be required, or a command by name. main itself is tiny; the work runs
 * protected, so that whatever fails ends in one message and an exit status. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "bin/host.h"
#include "bin/run.h"
#include "collegedb.h"
#include "embed.h"

static const char usage[] =
    "usage: collegedb SCRIPT.lua [ARGUMENT…]   run a Lua script\n"
    "       collegedb COMMAND [ARGUMENT…]      run a command; `collegedb help` lists them\n"
    "       collegedb --version\n";

static int is_script(const char *name) {
  size_t length = strlen(name);
  return strchr(name, '/') != NULL || (length >= 4 && strcmp(name + length - 4, ".lua") == 0);
}

static int print_usage(const char *unknown) {
  if (unknown != NULL) lua_writestringerror("collegedb: unknown option '%s'\n", unknown);
  lua_writestringerror("%s", usage);
  return 2;
}

static int print_version(void) {
  puts("collegedb " CDB_VERSION " (" LUA_RELEASE ")");
  return 0;
}

/* argc and argv as light userdata and integer; returns the exit status. */
static int protected_main(lua_State *L) {
  int argc = (int)lua_tointeger(L, 1);
  char **argv = (char **)lua_touserdata(L, 2);
  const char *name = argc > 1 ? argv[1] : NULL;
  int status;
  if (name == NULL) {
    status = print_usage(NULL);
  } else if (strcmp(name, "-v") == 0 || strcmp(name, "--version") == 0) {
    status = print_version();
  } else if (name[0] == '-') {
    status = print_usage(name);
  } else {
    luaL_checkversion(L);
    luaL_openlibs(L);
    cdb__embed_install(L);
    cdb__host_install(L);
    lua_gc(L, LUA_GCGEN, 0, 0); /* as lua5.4 does */
    cdb__create_arg(L, argc, argv);
    status = cdb__run_init(L);
    if (status == 0)
      status = is_script(name) ? cdb__run_script(L, argc, argv) : cdb__run_command(L, argc, argv);
  }
  lua_pushinteger(L, status);
  return 1;
}

int main(int argc, char **argv) {
  lua_State *L = luaL_newstate();
  if (L == NULL) {
    lua_writestringerror("%s", "collegedb: cannot create a Lua state: not enough memory\n");
    return EXIT_FAILURE;
  }
  lua_pushcfunction(L, protected_main);
  lua_pushinteger(L, argc);
  lua_pushlightuserdata(L, argv);
  int failed = lua_pcall(L, 2, 1, 0);
  if (failed != LUA_OK) cdb__report(lua_tostring(L, -1));
  int status = failed != LUA_OK ? EXIT_FAILURE : (int)lua_tointeger(L, -1);
  lua_close(L);
  return status;
}
