/* core.copy_rows(from, read[, to, write]): copies rows between shards, transactions among them. */
#include "bind/bind.h"
#include "shard/copy.h"

static cdb__shard *handle_at(lua_State *L, int arg) {
  const cdb__lua_tx *tx = luaL_testudata(L, arg, CDB__TX_CLASS);
  const cdb__lua_shard *shard = tx ? tx->shard : cdb__lua_check_shard(L, arg);
  if (!shard->handle) cdb__lua_fail(L, CDB_CLOSED, "shard %s was closed", shard->name);
  return shard->handle;
}

/* Returns how many rows, and a digest of them (16 bytes). */
static int copy_rows(lua_State *L) {
  cdb__copied copied = {0};
  cdb__fault fault;
  lua_settop(L, 4);
  cdb__shard *from = handle_at(L, 1), *to = lua_isnil(L, 3) ? NULL : handle_at(L, 3);
  const char *write = to ? luaL_checkstring(L, 4) : NULL;
  if (cdb__copy_rows(from, luaL_checkstring(L, 2), to, write, &copied, &fault) != CDB_OK)
    return cdb__lua_raise(L, &fault, NULL, NULL);
  lua_pushinteger(L, copied.rows);
  lua_pushlstring(L, (const char *)&copied.digest, sizeof copied.digest);
  return 2;
}

void cdb__lua_open_copy(lua_State *L) {
  lua_pushcfunction(L, copy_rows);
  lua_setfield(L, -2, "copy_rows");
}
