/* The shard class: a connection, and transactions on it. What a call on it
 * returns is made in run.c; batch and transaction are Lua, on top of transact
 * here. */
#include <stdio.h>
#include <string.h>

#include "bind/bind.h"
#include "shard/sqlite.h"

cdb__lua_shard *cdb__lua_new_shard(lua_State *L, const char *name, int user_values) {
  cdb__lua_shard *shard = lua_newuserdatauv(L, sizeof *shard, user_values);
  memset(shard, 0, sizeof *shard);
  snprintf(shard->name, sizeof shard->name, "%s", name);
  shard->until_timed = INT64_MAX;
  luaL_setmetatable(L, CDB__SHARD_CLASS);
  return shard;
}

cdb__lua_shard *cdb__lua_check_shard(lua_State *L, int arg) {
  cdb__lua_shard *shard = luaL_testudata(L, arg, CDB__SHARD_CLASS);
  if (!shard)
    cdb__lua_fail(L, CDB_USAGE, "a shard was expected, not %s (call with `:`)", luaL_typename(L, arg));
  cdb__lua_check_open(L, shard);
  return shard;
}

static void release_names(void *context, int host) { luaL_unref(context, LUA_REGISTRYINDEX, host); }

void cdb__lua_adopt_shard(lua_State *L, cdb__lua_shard *shard) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  shard->handle->host_context = lua_tothread(L, -1);
  shard->handle->release_host = release_names;
  lua_pop(L, 1);
}

/* --- opening --------------------------------------------------------------- */

/* core.sqlite(path, options): options checked by lua/collegedb/config.lua. With `scratch` the path is "", and
 * the file has no name and goes when it is closed. */
static int open_sqlite(lua_State *L) {
  size_t size, ignored;
  const char *path = cdb__lua_check_string(L, 1, "a database path", &size);
  luaL_checktype(L, 2, LUA_TTABLE);
  if ((size == 0) != cdb__lua_boolean_field(L, 2, "scratch") || strlen(path) != size)
    return cdb__lua_fail(L, CDB_CONFIG, "a database path must be a non-empty string");
  const char *name = cdb__lua_text_field(L, 2, "name", &ignored);
  const cdb__sqlite_options options = {
      .busy_timeout_ms = (int)cdb__lua_integer_field(L, 2, "busy_timeout_ms", 5000),
      .journal_mode = cdb__lua_text_field(L, 2, "journal_mode", &ignored),
      .synchronous = cdb__lua_text_field(L, 2, "synchronous", &ignored),
      .mmap_size = cdb__lua_integer_field(L, 2, "mmap_size", 0),
      .cache_size = cdb__lua_integer_field(L, 2, "cache_size", 0),
      .must_exist = cdb__lua_integer_field(L, 2, "must_exist", 0) != 0,
      .read_only = cdb__lua_boolean_field(L, 2, "read_only"),
      .single = cdb__lua_boolean_field(L, 2, "single"),
      .d1_limits = cdb__lua_boolean_field(L, 2, "d1_limits"),
  };
  cdb__lua_shard *shard = cdb__lua_new_shard(L, name ? name : path, 0);
  cdb__fault fault;
  if (cdb__sqlite_open(&shard->handle, path, &options, &fault) != CDB_OK)
    return cdb__lua_raise(L, &fault, shard->name, NULL);
  cdb__lua_adopt_shard(L, shard);
  return 1;
}

static int method_close(lua_State *L) {
  cdb__lua_shard *shard = luaL_testudata(L, 1, CDB__SHARD_CLASS);
  if (shard) cdb__lua_close_shard(shard, CDB__FRAME);
  return 0;
}

/* --- statements ------------------------------------------------------------ */

/* INSERT OR ROLLBACK, a RAISE(ROLLBACK) or a full disk end the whole
 * transaction inside SQLite. What follows in it must not run outside of it. */
static void check_alive(lua_State *L, cdb__lua_tx *tx) {
  cdb__lua_shard *shard = tx->shard;
  cdb__lua_check_open(L, shard);
  if (tx->inner || shard->tx_depth == 0 || shard->handle->ops->in_transaction(shard->handle)) return;
  shard->tx_depth = 0;
  tx->depth = 0;
  cdb__lua_fail(L, CDB_CLOSED, "the transaction on %s was rolled back by an earlier statement of it",
                shard->name);
}

/* core.inner(shard): reads past a transaction that is open on the shard. */
static int inner(lua_State *L) {
  cdb__lua_shard *shard = cdb__lua_check_shard(L, 1);
  cdb__lua_tx *tx = lua_newuserdatauv(L, sizeof *tx, 1);
  *tx = (cdb__lua_tx){.shard = shard, .inner = true};
  luaL_setmetatable(L, CDB__TX_CLASS);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  return 1;
}

cdb__lua_shard *cdb__lua_shard_of(lua_State *L, int arg, int *index) {
  cdb__lua_tx *tx = luaL_testudata(L, arg, CDB__TX_CLASS);
  if (tx) {
    check_alive(L, tx);
    if (tx->inner) {
      lua_getiuservalue(L, arg, 1);
      *index = lua_gettop(L);
      return tx->shard;
    }
    if (tx->depth == 0 || tx->depth > tx->shard->tx_depth)
      cdb__lua_fail(L, CDB_CLOSED, "the transaction on %s has ended", tx->shard->name);
    if (tx->depth < tx->shard->tx_depth)
      cdb__lua_fail(L, CDB_BUSY, "an inner transaction of this one is open: use its tx until it ends");
    lua_getiuservalue(L, arg, 1);
    *index = lua_gettop(L);
    return tx->shard;
  }
  cdb__lua_shard *shard = cdb__lua_check_shard(L, arg);
  cdb__lua_check_free(L, shard);
  *index = arg;
  return shard;
}

bool cdb__lua_is_inner(lua_State *L, int arg, const cdb__lua_shard *shard) {
  const void *object = lua_touserdata(L, arg);
  return object != shard && ((const cdb__lua_tx *)object)->inner;
}

/* The shard of `shard:run(…)` or `tx:run(…)`. */
static cdb__lua_shard *target(lua_State *L, int *index) { return cdb__lua_shard_of(L, 1, index); }

/* Arguments 2 and 3 of a call on a shard: sql, params. */
static cdb__lua_shard *check_call(lua_State *L, cdb__lua_call *call, int *index) {
  lua_settop(L, 3);
  cdb__lua_shard *shard = target(L, index);
  shard->handle->routed = false;
  call->sql = cdb__lua_check_string(L, 2, "the SQL text", &call->size);
  call->hash = cdb__sql_hash(call->sql, call->size);
  call->params = 3;
  call->key_arg = 0;
  call->key_size = 0;
  call->id = 0;
  call->inner = cdb__lua_is_inner(L, 1, shard);
  return shard;
}

/* In a transaction that was routed by a key, check_keys looks at its statements too. */
static bool is_checked(lua_State *L, const cdb__lua_shard *shard, cdb__lua_call *call) {
  const cdb__lua_tx *tx = luaL_testudata(L, 1, CDB__TX_CLASS);
  if (!tx || !tx->has_key || !shard->db || !shard->db->check_keys) return false;
  call->key = tx->key;
  return true;
}

static int run_as(lua_State *L, cdb__lua_runner run) {
  cdb__lua_call call;
  int index;
  cdb__lua_shard *shard = check_call(L, &call, &index);
  return is_checked(L, shard, &call) ? cdb__lua_checked_run(L, shard->db, shard, &call, run)
                                     : run(L, shard, &call);
}

static int method_run(lua_State *L) { return run_as(L, cdb__lua_run); }
static int method_first(lua_State *L) { return run_as(L, cdb__lua_first); }
static int method_all(lua_State *L) { return run_as(L, cdb__lua_all); }

static int method_each(lua_State *L) {
  cdb__lua_call call;
  cdb__sql_info info;
  int index;
  cdb__lua_shard *shard = check_call(L, &call, &index);
  if (is_checked(L, shard, &call)) {
    cdb__sql_scan(call.sql, call.size, &info);
    if (info.kind != CDB__SQL_SELECT) return cdb__lua_checked_each(L, shard->db, shard, &call);
  }
  return cdb__lua_each(L, shard, index, &call);
}

/* A script may do everything but reach for other files. */
static void check_script(lua_State *L, const char *script, size_t size, bool inside) {
  cdb__sql_info info;
  if (strlen(script) != size) cdb__lua_fail(L, CDB_USAGE, "the SQL script holds a NUL byte");
  for (size_t at = 0; at < size; at += info.end ? info.end : 1) {
    cdb__sql_scan(script + at, size - at, &info);
    if (info.kind == CDB__SQL_TRANSACTION && inside)
      cdb__lua_fail(L, CDB_USAGE,
                    "BEGIN, COMMIT and ROLLBACK are not allowed in a script inside a transaction");
    if (info.kind == CDB__SQL_ATTACH)
      cdb__lua_fail(L, CDB_USAGE, "ATTACH and DETACH are not allowed on a shard");
  }
}

static int method_exec(lua_State *L) {
  int index;
  lua_settop(L, 2);
  cdb__lua_shard *shard = target(L, &index);
  size_t size;
  const char *script = cdb__lua_check_string(L, 2, "the SQL script", &size);
  const bool inside = shard->handle->ops->in_transaction(shard->handle);
  check_script(L, script, size, inside);
  cdb__fault fault;
  cdb__lua_recover_unwound(shard, CDB__FRAME);
  int code = cdb__exec(shard->handle, script, &fault);
  shard->altered++;
  if (shard->db) shard->db->catalog++;
  if (!inside && shard->handle->ops->in_transaction(shard->handle)) {
    cdb__undo(shard->handle, NULL);
    if (code == CDB_OK)
      code = cdb__fail(&fault, CDB_USAGE,
                       "the script left a transaction open; it was rolled back (end it with COMMIT)");
  }
  return code == CDB_OK ? 0 : cdb__lua_fail_on(L, shard, &fault, NULL);
}

static int method_size(lua_State *L) {
  cdb__lua_shard *shard = cdb__lua_check_shard(L, 1);
  int64_t bytes = 0;
  cdb__fault fault;
  cdb__lua_recover_unwound(shard, CDB__FRAME);
  if (shard->handle->ops->size(shard->handle, &bytes, &fault) != CDB_OK)
    return cdb__lua_raise(L, &fault, shard->name, NULL);
  lua_pushinteger(L, bytes);
  return 1;
}

static int method_name(lua_State *L) {
  const cdb__lua_shard *shard = luaL_checkudata(L, 1, CDB__SHARD_CLASS);
  lua_pushstring(L, shard->name);
  return 1;
}

static int shard_tostring(lua_State *L) {
  const cdb__lua_shard *shard = luaL_checkudata(L, 1, CDB__SHARD_CLASS);
  lua_pushfstring(L, "shard %s%s", shard->name, shard->handle ? "" : " (closed)");
  return 1;
}

/* core.collation(shard or inner, table, column): the collation of a column, "BINARY" where it can not be
 * told. */
static int collation(lua_State *L) {
  const cdb__lua_tx *inner = luaL_testudata(L, 1, CDB__TX_CLASS);
  const cdb__lua_shard *shard = inner ? inner->shard : cdb__lua_check_shard(L, 1);
  if (!shard->handle) return cdb__lua_fail(L, CDB_CLOSED, "shard %s was closed", shard->name);
  const char *table = luaL_checkstring(L, 2), *column = luaL_checkstring(L, 3);
  const char *(*read)(cdb__shard *, const char *, const char *) = shard->handle->ops->collation;
  const char *name = read ? read(shard->handle, table, column) : "BINARY";
  if (!name) return cdb__lua_fail(L, CDB_NOMEM, "no memory to read the columns of %s", table);
  lua_pushstring(L, name);
  return 1;
}

/* core.kind(shard or what stands for one): "sqlite" or "d1" */
static int kind(lua_State *L) {
  int ignored;
  lua_pushstring(L, cdb__lua_shard_of(L, 1, &ignored)->handle->ops->kind);
  return 1;
}

/* core.base(shard or what stands for one): the shard itself */
static int base(lua_State *L) {
  int index;
  cdb__lua_shard_of(L, 1, &index);
  lua_pushvalue(L, index);
  return 1;
}

/* core.check_outside(shard): raises BUSY inside a transaction on it. */
static int check_outside(lua_State *L) {
  cdb__lua_check_free(L, cdb__lua_check_shard(L, 1));
  return 0;
}

/* core.altered(shard): another number after each statement of this connection that may have changed the
 * schema */
static int altered(lua_State *L) {
  lua_pushinteger(L, cdb__lua_check_shard(L, 1)->altered);
  return 1;
}

/* core.is_single(shard or inner): has it no transactions over several statements? */
static int is_single(lua_State *L) {
  const cdb__lua_tx *tx = luaL_testudata(L, 1, CDB__TX_CLASS);
  const cdb__lua_shard *shard = tx ? tx->shard : cdb__lua_check_shard(L, 1);
  cdb__lua_check_open(L, shard);
  lua_pushboolean(L, shard->handle->single);
  return 1;
}

/* core.has_batches(shard): has it none, but batches? */
static int has_batches(lua_State *L) {
  lua_pushboolean(L, cdb__lua_check_shard(L, 1)->handle->batches);
  return 1;
}

/* --- transactions ---------------------------------------------------------- */

/* Pushes a tx one level deeper, on the shard or tx at 1; the key hash that it was routed by, or nil, is at 2.
 */
static cdb__lua_tx *push_tx(lua_State *L) {
  int index;
  cdb__lua_shard *shard = target(L, &index);
  if (shard->handle->single)
    cdb__lua_fail(L, CDB_UNSUPPORTED,
                  "shard %s has no transactions%s over several statements: each statement is one by itself",
                  shard->name, shard->handle->batches ? " but batches" : ", and no batch,");
  cdb__lua_tx *tx = lua_newuserdatauv(L, sizeof *tx, 1);
  *tx = (cdb__lua_tx){.shard = shard};
  const cdb__lua_tx *outer = luaL_testudata(L, 1, CDB__TX_CLASS);
  size_t size = 0;
  const char *key = lua_tolstring(L, 2, &size);
  tx->has_key = size == sizeof tx->key || (outer && outer->has_key);
  if (size == sizeof tx->key) memcpy(&tx->key, key, size);
  else if (outer) tx->key = outer->key;
  luaL_setmetatable(L, CDB__TX_CLASS);
  lua_pushvalue(L, index);
  lua_setiuservalue(L, -2, 1);
  return tx;
}

static void begin_tx(lua_State *L, cdb__lua_tx *tx) {
  cdb__lua_shard *shard = tx->shard;
  char sql[64];
  cdb__fault fault;
  cdb__lua_recover_unwound(shard, CDB__FRAME);
  snprintf(sql, sizeof sql, "SAVEPOINT collegedb_%d", shard->tx_depth);
  if (cdb__begin(shard->handle, shard->tx_depth ? sql : "BEGIN IMMEDIATE", &fault) != CDB_OK)
    cdb__lua_fail_on(L, shard, &fault, NULL);
  tx->depth = ++shard->tx_depth;
}

/* core.begin(shard or tx[, key hash of core.route[, { false }]]): a tx one level
 * deeper. It is put into the table too, where it can not get lost when a hook
 * raises between this call and an assignment. */
static int begin(lua_State *L) {
  lua_settop(L, 3);
  begin_tx(L, push_tx(L));
  if (lua_istable(L, 3)) {
    lua_pushvalue(L, -1);
    lua_rawseti(L, 3, 1); /* takes the place of false, and no memory */
  }
  return 1;
}

/* Undoes the level of tx and all inside it; silent, because it follows another error. */
static void roll_back(cdb__lua_tx *tx) {
  cdb__lua_shard *shard = tx->shard;
  if (tx->depth == 0) return;
  if (shard->handle && shard->tx_depth >= tx->depth) {
    cdb__lua_cursors_end(shard, tx->depth);
    char savepoint[64];
    snprintf(savepoint, sizeof savepoint, "collegedb_%d", tx->depth - 1);
    /* An error such as a full disk may have rolled everything back already. */
    cdb__undo(shard->handle, tx->depth > 1 ? savepoint : NULL);
    shard->tx_depth = tx->depth - 1;
  }
  tx->depth = 0;
}

/* Commits the tx at 1. */
static void commit_tx(lua_State *L) {
  cdb__lua_tx *tx = luaL_checkudata(L, 1, CDB__TX_CLASS);
  int index;
  cdb__lua_shard *shard = target(L, &index);
  char sql[64];
  cdb__fault fault;
  snprintf(sql, sizeof sql, "RELEASE collegedb_%d", tx->depth - 1);
  cdb__lua_cursors_end(shard, tx->depth);
  if (cdb__exec(shard->handle, tx->depth > 1 ? sql : "COMMIT", &fault) != CDB_OK)
    cdb__lua_fail_on(L, shard, &fault, NULL);
  shard->tx_depth = tx->depth - 1;
  tx->depth = 0;
}

/* core.commit(tx) */
static int commit(lua_State *L) {
  commit_tx(L);
  return 0;
}

/* core.rollback(tx) */
static int rollback(lua_State *L) {
  roll_back(luaL_checkudata(L, 1, CDB__TX_CLASS));
  return 0;
}

/* The tx is at 1, what its function returned is behind it. */
static int commit_results(lua_State *L, int status, lua_KContext context) {
  const int count = lua_gettop(L) - 1;
  (void)status;
  (void)context;
  luaL_checkstack(L, LUA_MINSTACK, "too many results"); /* they may fill it */
  commit_tx(L);
  lua_settop(L, count + 1);
  return count;
}

/* (tx, function), called protected: also a commit may fail. */
static int run_inside(lua_State *L) {
  lua_pushvalue(L, 1);
  lua_callk(L, 1, LUA_MULTRET, 0, commit_results);
  return commit_results(L, LUA_OK, 0);
}

static int end_transaction(lua_State *L, int status, lua_KContext tx) {
  if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L) - (int)tx;
  roll_back(lua_touserdata(L, (int)tx));
  return lua_error(L);
}

/* core.transact(shard or tx, key hash or nil, f): what f(tx) returns; committed when it returns, rolled back
 * when it raises. All in C, because Lua may have no memory left for a word when it is to be rolled back. */
static int transact(lua_State *L) {
  lua_settop(L, 3);
  cdb__lua_tx *tx = push_tx(L);
  const int index = lua_gettop(L);
  lua_pushcfunction(L, run_inside);
  lua_pushvalue(L, index);
  lua_pushvalue(L, 3);
  begin_tx(L, tx);
  return end_transaction(L, lua_pcallk(L, 2, LUA_MULTRET, 0, index, end_transaction), index);
}

void cdb__lua_open_shard(lua_State *L) {
  static const luaL_Reg calls[] = {{"run", method_run},   {"first", method_first}, {"all", method_all},
                                   {"each", method_each}, {"exec", method_exec},   {NULL, NULL}};
  static const luaL_Reg methods[] = {{"size", method_size}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"sqlite", open_sqlite},
                                       {"close", method_close},
                                       {"shard_name", method_name},
                                       {"begin", begin},
                                       {"commit", commit},
                                       {"rollback", rollback},
                                       {"transact", transact},
                                       {"inner", inner},
                                       {"collation", collation},
                                       {"is_single", is_single},
                                       {"has_batches", has_batches},
                                       {"kind", kind},
                                       {"base", base},
                                       {"check_outside", check_outside},
                                       {"altered", altered},
                                       {NULL, NULL}};
  luaL_newmetatable(L, CDB__SHARD_CLASS);
  lua_pushcfunction(L, method_close);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, shard_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_newtable(L);
  luaL_setfuncs(L, calls, 0);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "__index");
  lua_setfield(L, -3, "shard_methods"); /* of the module: Lua adds batch and transaction */
  lua_pop(L, 1);

  luaL_newmetatable(L, CDB__TX_CLASS);
  lua_pushcfunction(L, rollback);
  lua_setfield(L, -2, "__gc");
  lua_newtable(L);
  luaL_setfuncs(L, calls, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "__index");
  lua_setfield(L, -3, "tx_methods");
  lua_pop(L, 1);
  luaL_setfuncs(L, functions, 0);
}
