/* collegedb.core: the C module behind `require "collegedb"`. Programs use the
 * Lua module in front of it; what is here may change from version to version. */
#include <lauxlib.h>

#include "bind/bind.h"
#include "collegedb.h"

CDB_API int luaopen_collegedb_core(lua_State *L);

/* core.scan(sql): { kind, table, second, finish } */
static int scan(lua_State *L) {
  static const char *const kinds[] = {"empty",       "select", "insert", "update",  "delete", "schema",
                                      "transaction", "attach", "pragma", "explain", "other"};
  size_t size;
  const char *sql = cdb__lua_check_string(L, 1, "the SQL text", &size);
  cdb__sql_info info;
  cdb__sql_scan(sql, size, &info);
  lua_createtable(L, 0, 4);
  lua_pushstring(L, kinds[info.kind]);
  lua_setfield(L, -2, "kind");
  if (info.table) {
    luaL_Buffer name;
    char *room = luaL_buffinitsize(L, &name, info.table_size + 1);
    luaL_pushresultsize(&name, cdb__sql_name(info.table, info.table_size, room, info.table_size + 1));
    lua_setfield(L, -2, "table");
  }
  lua_pushboolean(L, info.second);
  lua_setfield(L, -2, "second");
  lua_pushinteger(L, (lua_Integer)info.end);
  lua_setfield(L, -2, "finish");
  return 1;
}

/* core.random(): 64 bits that a seed of the program's does not repeat. */
static int random_bits(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)cdb__random_seed());
  return 1;
}

static void push_codes(lua_State *L) {
  lua_newtable(L);
#define PUSH_CODE(name, value, retryable, text) \
  lua_createtable(L, 0, 2);                     \
  lua_pushboolean(L, retryable);                \
  lua_setfield(L, -2, "retryable");             \
  lua_pushstring(L, text);                      \
  lua_setfield(L, -2, "text");                  \
  lua_setfield(L, -2, #name);
  CDB_ERROR_CODES(PUSH_CODE)
#undef PUSH_CODE
}

int luaopen_collegedb_core(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"scan", scan}, {"on_error", cdb__lua_on_error}, {"random", random_bits}, {NULL, NULL}};
  luaL_newlib(L, functions);
  cdb__lua_open_values(L);
  cdb__lua_open_run(L);
  cdb__lua_open_keys(L);
  cdb__lua_open_cursor(L);
  cdb__lua_open_shard(L);
  cdb__lua_open_route(L);
  cdb__lua_open_router(L);
  cdb__lua_open_directory(L);
  cdb__lua_open_takeover(L);
  cdb__lua_open_files(L);
  cdb__lua_open_file_facts(L);
  cdb__lua_open_limit(L);
  cdb__lua_open_copy(L);
  cdb__lua_open_encode(L);
  cdb__lua_open_pause(L);
  cdb__lua_open_background(L);
  cdb__lua_open_net(L);
  cdb__lua_open_d1(L);
  cdb__lua_open_together(L);
  cdb__lua_open_statistics(L);
  push_codes(L);
  lua_setfield(L, -2, "codes");
  lua_pushstring(L, CDB_VERSION);
  lua_setfield(L, -2, "version");
  return 1;
}
