/* libFuzzer knows which code in C was reached. So that it knows lines of Lua too, each line of CollegeDB's
 * files that runs counts in a table that it looks at. */
#include "script.h"

#include <stdbool.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "collegedb_lua.h"
#include "embed.h"

enum { LINES = 1 << 15 };

__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t lines[LINES];

static lua_State *state;

static uint32_t hash_of(const char *source) {
  uint32_t hash = 2166136261u;
  for (const char *c = source; *c; c++) hash = (hash ^ (unsigned char)*c) * 16777619u;
  return hash;
}

static bool is_ours(const char *source) { return strncmp(source, "@[collegedb]/", 13) == 0; }

static void count(lua_State *L, lua_Debug *at) {
  static const char *last;
  static uint32_t hash;
  lua_getinfo(L, "Sl", at);
  if (at->source != last) {
    last = at->source;
    hash = is_ours(last) ? hash_of(last) : 0;
  }
  if (!hash) return;
  uint8_t *line = &lines[(hash + (uint32_t)at->currentline * 2654435761u) % LINES];
  if (*line < 255) ++*line;
}

static int describe(lua_State *L) {
  luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
  return 1;
}

static void run(int arguments, int results) {
  const int handler = lua_gettop(state) - arguments;
  lua_pushcfunction(state, describe);
  lua_insert(state, handler);
  if (lua_pcall(state, arguments, results, handler) != LUA_OK) {
    fprintf(stderr, "%s\n", lua_tostring(state, -1));
    abort();
  }
  lua_remove(state, handler);
}

void script_open(const char *name) {
  char path[256];
  state = luaL_newstate();
  CHECK(state != NULL, "no memory");
  luaL_openlibs(state);
  cdb__embed_install(state);
  luaL_loadstring(state, "package.path = '" FUZZ_ROOT "/?.lua'");
  run(0, 0);
  snprintf(path, sizeof path, FUZZ_ROOT "/spec/fuzz/%s.lua", name);
  CHECK(luaL_loadfile(state, path) == LUA_OK, "%s", lua_tostring(state, -1));
  run(0, 1);
  CHECK(lua_isfunction(state, -1), "%s returns no function", path);
  lua_sethook(state, count, LUA_MASKLINE, 0);
}

void script_call(const uint8_t *data, size_t size) {
  lua_pushvalue(state, 1);
  lua_pushlstring(state, size ? (const char *)data : "", size);
  run(1, 0);
  lua_settop(state, 1);
}
