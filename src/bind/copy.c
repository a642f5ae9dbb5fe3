/* What moves many keys and rows at once: core.copy_rows and core.run_each. */
#include "bind/bind.h"
#include "core/key.h"
#include "shard/copy.h"

/* The open shard of a shard or a transaction. */
static cdb__lua_shard *shard_at(lua_State *L, int arg) {
  const cdb__lua_tx *tx = luaL_testudata(L, arg, CDB__TX_CLASS);
  cdb__lua_shard *shard = tx ? tx->shard : cdb__lua_check_shard(L, arg);
  cdb__lua_check_open(L, shard);
  return shard;
}

static cdb__stmt *take(lua_State *L, const cdb__lua_shard *shard, int sql_arg) {
  cdb__fault fault;
  cdb__stmt *stmt = NULL;
  size_t size;
  const char *sql = luaL_checklstring(L, sql_arg, &size);
  if (cdb__stmt_take(shard->handle, sql, size, cdb__sql_hash(sql, size), &stmt, &fault) != CDB_OK)
    cdb__lua_raise(L, &fault, shard->name, NULL);
  return stmt;
}

static void give(cdb__stmt *stmt) {
  cdb__fault ignored;
  if (!stmt) return;
  cdb__reset(stmt, &ignored);
  cdb__stmt_give(stmt);
}

/* core.copy_rows(cursor, most_rows, most_bytes[, to, write, first]): copies rows that the cursor of `each`
 * has still to give. Returns how many, a digest of them (16 bytes), and whether there may be more. */
static int copy_rows(lua_State *L) {
  lua_settop(L, 6);
  const cdb__lua_cursor *cursor = luaL_checkudata(L, 1, CDB__CURSOR_CLASS);
  const cdb__copied limits = {.rows = luaL_checkinteger(L, 2), .bytes = luaL_checkinteger(L, 3)};
  const int64_t first = luaL_optinteger(L, 6, 0);
  if (!cursor->stmt) return cdb__lua_fail(L, CDB_CLOSED, "the rows to copy were closed meanwhile");
  cdb__stmt *writer = lua_isnil(L, 4) ? NULL : take(L, shard_at(L, 4), 5);
  /* Where each statement is a request, the columns are known after the first step. */
  if (writer && cursor->stmt->columns && writer->parameters != cursor->stmt->columns + 1) {
    give(writer);
    return cdb__lua_fail(L, CDB_USAGE,
                         "the rows to copy have other columns than the statement that writes them");
  }
  cdb__copied copied;
  cdb__fault fault;
  bool more;
  const int code = cdb__copy_rows(cursor->stmt, writer, first, &limits, &copied, &more, &fault);
  give(writer);
  if (code != CDB_OK) return cdb__lua_raise(L, &fault, cursor->shard->name, NULL);
  lua_pushinteger(L, copied.rows);
  lua_pushlstring(L, (const char *)&copied.digest, sizeof copied.digest);
  lua_pushboolean(L, more);
  return 3;
}

/* --- one statement, many times ------------------------------------------------ */

static int bind_at(lua_State *L, cdb__stmt *stmt, int parameter, int arg, cdb__fault *fault) {
  cdb_value value = {.type = CDB_INTEGER};
  const cdb__lua_blob *blob = luaL_testudata(L, arg, CDB__BLOB_CLASS);
  if (blob) value = (cdb_value){.type = CDB_BLOB, .data = blob->data, .size = blob->size};
  else if (lua_isinteger(L, arg)) value.i = lua_tointeger(L, arg);
  else if (lua_type(L, arg) == LUA_TSTRING) {
    value.type = CDB_TEXT;
    value.data = lua_tolstring(L, arg, &value.size);
  } else return cdb__fail(fault, CDB_USAGE, "parameter %d is a %s", parameter, luaL_typename(L, arg));
  return stmt->shard->ops->bind(stmt, parameter, &value, fault);
}

static int run_once(cdb__stmt *stmt, int64_t *changes, cdb__fault *fault) {
  cdb__fault ignored;
  int code;
  do code = cdb__step(stmt, fault);
  while (code == CDB__ROW);
  *changes = code < 0 ? 0 : stmt->shard->ops->changes(stmt);
  const int ended = cdb__reset(stmt, code < 0 ? &ignored : fault);
  return code < 0 ? code : ended;
}

/* The first parameter of the i-th run: of a list, or 16 bytes of a string. */
static int bind_first(lua_State *L, cdb__stmt *stmt, lua_Integer i, cdb__fault *fault) {
  if (lua_type(L, 3) == LUA_TSTRING) {
    const char *bytes = lua_tostring(L, 3) + (i - 1) * CDB__DIGEST_SIZE;
    const cdb_value value = {.type = CDB_BLOB, .data = bytes, .size = CDB__DIGEST_SIZE};
    return stmt->shard->ops->bind(stmt, 1, &value, fault);
  }
  const int top = lua_gettop(L);
  lua_rawgeti(L, 3, i);
  const int code = bind_at(L, stmt, 1, top + 1, fault);
  lua_settop(L, top); /* the list keeps the value alive */
  return code;
}

/* core.run_each(tx, sql, list, …): runs the statement for each of the list (or of the digests of
 * core.digests), as its first parameter; the others are the same each time. Returns how many rows it changed,
 * and the position of the first that changed none. */
static int run_each(lua_State *L) {
  const int last = lua_gettop(L);
  const cdb__lua_shard *shard = shard_at(L, 1);
  if (lua_type(L, 3) != LUA_TSTRING) luaL_checktype(L, 3, LUA_TTABLE);
  luaL_checkstack(L, 8, NULL);
  const lua_Integer size = (lua_Integer)lua_rawlen(L, 3);
  const lua_Integer count = lua_type(L, 3) == LUA_TSTRING ? size / CDB__DIGEST_SIZE : size;
  cdb__stmt *stmt = take(L, shard, 2);
  int64_t total = 0, changes = 0;
  lua_Integer without = 0;
  cdb__fault fault;
  int code = CDB_OK;
  if (stmt->parameters != last - 2)
    code = cdb__fail(&fault, CDB_USAGE, "%d parameters for a statement that takes %d", last - 2,
                     stmt->parameters);
  for (int arg = 4; arg <= last && code == CDB_OK; arg++) code = bind_at(L, stmt, arg - 2, arg, &fault);
  for (lua_Integer i = 1; i <= count && code == CDB_OK; i++) {
    code = bind_first(L, stmt, i, &fault);
    if (code == CDB_OK) code = run_once(stmt, &changes, &fault);
    total += changes;
    if (changes == 0 && without == 0) without = i;
  }
  give(stmt);
  if (code != CDB_OK) return cdb__lua_raise(L, &fault, shard->name, NULL);
  lua_pushinteger(L, total);
  if (without) lua_pushinteger(L, without);
  else lua_pushnil(L);
  return 2;
}

void cdb__lua_open_copy(lua_State *L) {
  static const luaL_Reg functions[] = {{"copy_rows", copy_rows}, {"run_each", run_each}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
