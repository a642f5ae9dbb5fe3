/* Makes the embedded Lua modules known to `require`. Their searcher is the last
 * one, so that a file on disk wins over the copy in here. The one exception is
 * the name "collegedb" itself: in a folder with a config, ./collegedb.lua is that
 * config, and not the module. */
#include "embed.h"

#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "collegedb_lua.h"

#define ROOT "collegedb"

static const char installed_key = 0; /* its address marks a state that has the searcher */
static const char opening_key = 0;   /* its address marks one in which luaopen_collegedb runs */

const cdb__embedded_module *cdb__embedded_find(const char *module) {
  size_t low = 0;
  size_t high = cdb__embedded_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int order = strcmp(module, cdb__embedded_modules[middle].module);
    if (order == 0) return &cdb__embedded_modules[middle];
    if (order < 0) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return NULL;
}

/* Pushes the loader and what it is told of its origin. */
static int push_embedded(lua_State *L, const cdb__embedded_module *module) {
  if (luaL_loadbufferx(L, module->text, module->size, module->chunk, "t") != LUA_OK) return lua_error(L);
  lua_pushstring(L, module->chunk + 1);
  return 2;
}

static int embedded_searcher(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  const cdb__embedded_module *module = cdb__embedded_find(name);
  if (module != NULL) return push_embedded(L, module);
  lua_pushfstring(L, "no embedded module '%s'", name);
  return 1;
}

/* Answers for "collegedb" only, before files are looked for: collegedb/init.lua
 * on disk, else the embedded one. Upvalue: the table `package`. */
static int root_searcher(lua_State *L) {
  if (strcmp(luaL_checkstring(L, 1), ROOT) != 0) return 0;
  lua_getfield(L, lua_upvalueindex(1), "searchpath");
  lua_pushliteral(L, ROOT ".init");
  lua_getfield(L, lua_upvalueindex(1), "path");
  lua_call(L, 2, 1);
  if (lua_isnil(L, -1)) return push_embedded(L, cdb__embedded_find(ROOT));
  if (luaL_loadfile(L, lua_tostring(L, -1)) != LUA_OK) return lua_error(L);
  lua_insert(L, -2);
  return 2;
}

/* With `package` on the stack: ours become searchers 2 and last. */
static void add_searchers(lua_State *L) {
  if (!lua_istable(L, -1) || lua_getfield(L, -1, "searchers") != LUA_TTABLE) {
    luaL_error(L, "collegedb needs the standard library 'package'");
  }
  lua_Integer count = (lua_Integer)lua_rawlen(L, -1);
  for (lua_Integer i = count; i >= 2; i--) {
    lua_rawgeti(L, -1, i);
    lua_rawseti(L, -2, i + 1);
  }
  lua_pushvalue(L, -2);
  lua_pushcclosure(L, root_searcher, 1);
  lua_rawseti(L, -2, 2);
  lua_pushcfunction(L, embedded_searcher);
  lua_rawseti(L, -2, count + 2);
  lua_pop(L, 1);
}

void cdb__embed_install(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &installed_key) != LUA_TNIL) {
    lua_pop(L, 1);
    return;
  }
  lua_pop(L, 1);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  if (lua_getfield(L, -1, "collegedb.core") == LUA_TNIL) {
    lua_pushcfunction(L, luaopen_collegedb_core);
    lua_setfield(L, -3, "collegedb.core");
  }
  lua_pop(L, 2);

  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, LUA_LOADLIBNAME);
  add_searchers(L);
  lua_pop(L, 2);
  lua_pushboolean(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &installed_key);
}

/* Where this function itself is the loader of "collegedb" (package.preload, or
 * the library under that name in package.cpath), `require` leads back here: the
 * second entry takes the embedded file. */
int luaopen_collegedb(lua_State *L) {
  cdb__embed_install(L);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &opening_key) == LUA_TNIL) {
    lua_pushboolean(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &opening_key);
    lua_getglobal(L, "require");
    lua_pushliteral(L, ROOT);
    int status = lua_pcall(L, 1, 1, 0);
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &opening_key);
    return status == LUA_OK ? 1 : lua_error(L);
  }
  push_embedded(L, cdb__embedded_find(ROOT));
  lua_pushliteral(L, ROOT);
  lua_insert(L, -2);
  lua_call(L, 2, 1);
  return 1;
}
