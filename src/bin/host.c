/* The module collegedb.host, for the commands of the interpreter:
 *
 *   is_terminal("stdin" | "stdout" | "stderr")  -> boolean
 *   exists(path)        -> boolean, of something that may be read
 *   list(folder)        -> array of file names, sorted; nil and a message if it cannot be read
 *   make_folder(path)   -> true (also if it is there already), or nil and a message
 *   embedded(prefix)    -> array of the embedded modules' names that begin so, sorted
 *   clock()             -> seconds, to measure how long something takes
 *   flush()             -> boolean: has all of standard output been written until now?
 *   usage               the text of `collegedb --help`
 *   columns("stdout" …) -> how wide that terminal is, and how high; nil if it does not say, or is none
 */
#include "bin/host.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <lauxlib.h>

#include "bin/options.h"
#include "embed.h"

/* The descriptor that the first argument names. */
static int check_stream(lua_State *L) {
  static const char *const names[] = {"stdin", "stdout", "stderr", NULL};
  return luaL_checkoption(L, 1, NULL, names);
}

static int host_is_terminal(lua_State *L) {
  lua_pushboolean(L, isatty(check_stream(L)));
  return 1;
}

/* Of CLOCK_MONOTONIC: only differences say something. */
static int host_clock(lua_State *L) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  lua_pushnumber(L, (lua_Number)now.tv_sec + (lua_Number)now.tv_nsec / 1e9);
  return 1;
}

/* What was lost earlier counts too: then a last fflush may find nothing to do. */
static int host_flush(lua_State *L) {
  const int lost = ferror(stdout);
  lua_pushboolean(L, fflush(stdout) == 0 && !lost);
  return 1;
}

static int host_columns(lua_State *L) {
  struct winsize size;
  if (ioctl(check_stream(L), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 0;
  lua_pushinteger(L, size.ws_col);
  lua_pushinteger(L, size.ws_row);
  return 2;
}

static int host_exists(lua_State *L) {
  lua_pushboolean(L, access(luaL_checkstring(L, 1), R_OK) == 0);
  return 1;
}

/* The names of one opened folder; the caller closes it. No Lua memory is asked
 * for beyond what pushing strings needs, yet that may raise: see host_list. */
static int push_names(lua_State *L) {
  DIR *folder = (DIR *)lua_touserdata(L, 1);
  lua_newtable(L);
  lua_Integer count = 0;
  for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
    if (entry->d_name[0] == '.') continue;
    lua_pushstring(L, entry->d_name);
    lua_rawseti(L, -2, ++count);
  }
  return 1;
}

static int host_list(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  lua_getglobal(L, "table");
  lua_getfield(L, -1, "sort");
  lua_pushcfunction(L, push_names);
  DIR *folder = opendir(path);
  if (folder == NULL) return luaL_fileresult(L, 0, path);
  lua_pushlightuserdata(L, folder);
  int failed = lua_pcall(L, 1, 1, 0);
  closedir(folder);
  if (failed != LUA_OK) return lua_error(L);
  lua_pushvalue(L, -1);
  lua_insert(L, -3); /* names, sort, names */
  lua_call(L, 1, 0);
  return 1;
}

static int host_make_folder(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  struct stat info;
  if (mkdir(path, 0777) == 0) return luaL_fileresult(L, 1, path);
  int error = errno;
  if (error == EEXIST && stat(path, &info) == 0 && S_ISDIR(info.st_mode)) return luaL_fileresult(L, 1, path);
  errno = error;
  return luaL_fileresult(L, 0, path);
}

static int host_embedded(lua_State *L) {
  size_t length;
  const char *prefix = luaL_checklstring(L, 1, &length);
  lua_newtable(L);
  lua_Integer count = 0;
  for (size_t i = 0; i < cdb__embedded_count; i++) {
    const char *module = cdb__embedded_modules[i].module;
    if (strncmp(module, prefix, length) != 0) continue;
    lua_pushstring(L, module);
    lua_rawseti(L, -2, ++count);
  }
  return 1;
}

static int open_host(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"is_terminal", host_is_terminal}, {"exists", host_exists},     {"list", host_list},
      {"make_folder", host_make_folder}, {"embedded", host_embedded}, {"flush", host_flush},
      {"columns", host_columns},         {"clock", host_clock},       {NULL, NULL},
  };
  luaL_newlib(L, functions);
  lua_pushstring(L, cdb__usage);
  lua_setfield(L, -2, "usage");
  return 1;
}

void cdb__host_install(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, open_host);
  lua_setfield(L, -2, "collegedb.host");
  lua_pop(L, 1);
}
