/* The module `verdict` for specs:
 *
 *   verdict.disagrees(sql)  nil, or what scanner and SQLite, or a statement and what D1 is sent for it,
 * differ in verdict.of(sql)         what SQLite says: { accepted, holds, table, reads } */
#include "verdict.h"

#include <lauxlib.h>
#include <lua.h>

int luaopen_verdict(lua_State *L);

static int disagrees(lua_State *L) {
  size_t size;
  char why[2000];
  const char *sql = luaL_checklstring(L, 1, &size);
  sqlite3 *db = verdict_open();
  const bool fine =
      verdict_agrees(db, sql, size, why, sizeof why) && verdict_rewrites(db, sql, size, why, sizeof why);
  sqlite3_close(db);
  if (fine) lua_pushnil(L);
  else lua_pushstring(L, why);
  return 1;
}

static int of(lua_State *L) {
  verdict v;
  size_t size;
  const char *sql = luaL_checklstring(L, 1, &size);
  sqlite3 *db = verdict_open();
  verdict_of(db, sql, size, &v);
  sqlite3_close(db);
  lua_newtable(L);
  lua_pushboolean(L, v.code == SQLITE_OK);
  lua_setfield(L, -2, "accepted");
  lua_pushboolean(L, v.holds);
  lua_setfield(L, -2, "holds");
  lua_pushstring(L, v.table);
  lua_setfield(L, -2, "table");
  lua_newtable(L);
  for (int i = 0; i < v.read_count; i++) {
    lua_pushstring(L, v.reads[i]);
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "reads");
  return 1;
}

__attribute__((visibility("default"))) int luaopen_verdict(lua_State *L) {
  static const luaL_Reg functions[] = {{"disagrees", disagrees}, {"of", of}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
