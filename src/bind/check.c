/* check_keys, for development: a routed statement may touch only rows of the
 * key it was routed by. SQLite's preupdate hook shows each row before it is
 * changed; the statement runs in a savepoint and is undone when one row
 * belongs to another key. */
#define SQLITE_ENABLE_PREUPDATE_HOOK
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bind/bind.h"
#include "shard/sqlite.h"

struct cdb__lua_check_table {
  struct cdb__lua_check_table *next;
  char *name;
  int shard;  /* its index */
  int column; /* of the key, from 0 */
  int kind;
  bool fold;
  cdb__keyspace space;
  char *space_name;
};

typedef struct {
  const cdb__lua_db *db;
  const cdb__lua_shard *shard;
  cdb__hash expected;
  bool found;
  char table[128], key[128];
} watch;

/* --- the tables to look at ------------------------------------------------- */

void cdb__lua_check_tables_free(cdb__lua_db *db) {
  while (db->checked) {
    struct cdb__lua_check_table *table = db->checked;
    db->checked = table->next;
    free(table->name);
    free(table->space_name);
    free(table);
  }
}

static char *copy_field(lua_State *L, const char *name) {
  lua_getfield(L, -1, name);
  const char *value = lua_tostring(L, -1);
  char *copy = value ? strdup(value) : NULL;
  lua_pop(L, 1);
  return copy;
}

/* Leaves no table that is not whole; lua/collegedb/state.lua tells of them again. */
static void fail_memory(lua_State *L, cdb__lua_db *db) {
  cdb__lua_check_tables_free(db);
  cdb__lua_fail(L, CDB_NOMEM, "no memory for check_keys");
}

static void add_table(lua_State *L, cdb__lua_db *db) {
  struct cdb__lua_check_table *table = calloc(1, sizeof *table);
  if (!table) return fail_memory(L, db);
  table->next = db->checked;
  db->checked = table;
  table->name = copy_field(L, "name");
  if (!table->name) return fail_memory(L, db);
  lua_getfield(L, -1, "shard");
  table->shard = (int)lua_tointeger(L, -1) - 1;
  lua_pop(L, 1);
  lua_getfield(L, -1, "column");
  table->column = (int)lua_tointeger(L, -1);
  lua_getfield(L, -2, "fold");
  table->fold = lua_toboolean(L, -1);
  lua_getfield(L, -3, "kind");
  table->kind = strcmp(lua_tostring(L, -1), "integer") == 0 ? CDB__KEY_INTEGER : CDB__KEY_TEXT;
  lua_getfield(L, -4, "keyspace");
  size_t size = 0;
  const char *space = luaL_checklstring(L, -1, &size);
  table->space_name = malloc(size + 1);
  if (!table->space_name) return fail_memory(L, db);
  memcpy(table->space_name, space, size + 1);
  table->space = cdb__keyspace_make(table->space_name, size, db->seed);
  lua_pop(L, 4);
}

int cdb__lua_check_tables(lua_State *L) {
  cdb__lua_db *db = cdb__lua_check_db(L, 1);
  cdb__lua_check_tables_free(db);
  luaL_checktype(L, 2, LUA_TTABLE);
  const lua_Integer count = (lua_Integer)lua_rawlen(L, 2);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(L, 2, i);
    add_table(L, db);
    lua_pop(L, 1);
  }
  return 0;
}

/* --- watching --------------------------------------------------------------- */

static bool is_key(const cdb__key *key, cdb__hash expected) {
  const cdb__hash hash = cdb__key_cache_hash(key);
  return hash.low == expected.low && hash.high == expected.high;
}

/* Is the value the key that was asked for, or none that could be? Else it is written down. A string is also
 * the key as it stands: where it may be two things, it was not folded when it was asked for. */
static bool is_expected(watch *w, const struct cdb__lua_check_table *table, sqlite3_value *value) {
  cdb__key key;
  char folded[CDB__KEY_MAX];
  if (sqlite3_value_type(value) == SQLITE_INTEGER) {
    cdb__key_integer(&key, &table->space, sqlite3_value_int64(value));
  } else {
    const bool is_blob = sqlite3_value_type(value) == SQLITE_BLOB;
    const char *text = is_blob ? sqlite3_value_blob(value) : (const char *)sqlite3_value_text(value);
    const size_t size = (size_t)sqlite3_value_bytes(value);
    if (!text || size > sizeof folded) return true; /* no key that could have been routed */
    cdb__key_text(&key, table->kind == CDB__KEY_INTEGER ? &w->db->global : &table->space, text, size);
    if (table->fold) {
      if (is_key(&key, w->expected)) return true;
      cdb__key_fold(&key, folded);
    }
  }
  if (is_key(&key, w->expected)) return true;
  snprintf(w->table, sizeof w->table, "%s", table->name);
  snprintf(w->key, sizeof w->key, "%.*s", (int)(key.size < 100 ? key.size : 100), key.text);
  return false;
}

typedef int (*row_reader)(sqlite3 *, int column, sqlite3_value **);

/* A table that follows another has two key columns: one of them is enough. */
static void look(watch *w, sqlite3 *handle, const char *name, row_reader read) {
  bool listed = false;
  for (const struct cdb__lua_check_table *table = w->db->checked; table; table = table->next) {
    sqlite3_value *value;
    if (strcasecmp(table->name, name) != 0 || w->db->shards[table->shard] != w->shard) continue;
    if (read(handle, table->column, &value) != SQLITE_OK || is_expected(w, table, value)) return;
    listed = true;
  }
  w->found = listed;
}

static void on_change(void *context, sqlite3 *handle, int operation, const char *name, int64_t old_rowid,
                      int64_t new_rowid) {
  watch *w = context;
  (void)old_rowid, (void)new_rowid;
  if (w->found) return;
  if (operation != SQLITE_INSERT) look(w, handle, name, sqlite3_preupdate_old);
  if (operation != SQLITE_DELETE && !w->found) look(w, handle, name, sqlite3_preupdate_new);
}

/* The runner, called protected: (shard and call as light userdata, runner), then the stack of the call. */
typedef struct {
  cdb__lua_shard *shard;
  const cdb__lua_call *call;
  cdb__lua_runner run;
} protected_call;

static int call_runner(lua_State *L) {
  const protected_call *p = lua_touserdata(L, 1);
  lua_remove(L, 1);
  cdb__lua_call call = *p->call;
  call.params = 1;
  call.key_arg = 0; /* not on this stack */
  call.key_size = 0;
  return p->run(L, p->shard, &call);
}

static bool is_moved(lua_State *L) {
  if (!lua_istable(L, -1)) return false;
  lua_getfield(L, -1, "code");
  const char *code = lua_tostring(L, -1);
  const bool moved = code && strcmp(code, cdb_code_name(CDB_MOVED)) == 0;
  lua_pop(L, 1);
  return moved;
}

int cdb__lua_checked_run(lua_State *L, cdb__lua_db *db, cdb__lua_shard *shard, const cdb__lua_call *call,
                         cdb__lua_runner run) {
  cdb__fault fault;
  watch w = {.db = db, .shard = shard, .expected = call->key};
  protected_call p = {shard, call, run};
  if (strcmp(shard->handle->ops->kind, "sqlite") != 0) return run(L, shard, call);
  lua_pushcfunction(L, call_runner);
  lua_pushlightuserdata(L, &p);
  lua_pushvalue(L, call->params);
  if (cdb__begin(shard->handle, "SAVEPOINT collegedb_check", &fault) != CDB_OK)
    cdb__lua_fail_on(L, shard, &fault, NULL);
  cdb__sqlite_watch(shard->handle, on_change, &w);
  const int status = lua_pcall(L, 2, 1, 0);
  if (!shard->handle || shard->closing) return status == LUA_OK ? 1 : lua_error(L);
  cdb__sqlite_watch(shard->handle, NULL, NULL);
  if (status != LUA_OK || w.found) {
    cdb__undo(shard->handle, "collegedb_check");
    if (status != LUA_OK && call->key_arg && is_moved(L) &&
        cdb__lua_follow(L, shard, call, cdb__lua_method_of(run), true))
      return 1;
    if (status != LUA_OK) return lua_error(L);
    cdb__fail(&fault, CDB_USAGE,
              "check_keys: the statement was routed by one key and touched the row %s of %s; it was undone",
              w.key, w.table);
    return cdb__lua_fail_on(L, shard, &fault, call);
  }
  if (cdb__exec(shard->handle, "RELEASE collegedb_check", &fault) != CDB_OK) {
    cdb__undo(shard->handle, "collegedb_check");
    return cdb__lua_fail_on(L, shard, &fault, call);
  }
  return 1;
}

/* Iterates over an array of rows: upvalue 1 the array, 2 the position. */
static int next_of_array(lua_State *L) {
  const lua_Integer position = lua_tointeger(L, lua_upvalueindex(2)) + 1;
  lua_pushinteger(L, position);
  lua_replace(L, lua_upvalueindex(2));
  lua_rawgeti(L, lua_upvalueindex(1), position);
  return 1;
}

int cdb__lua_checked_each(lua_State *L, cdb__lua_db *db, cdb__lua_shard *shard, const cdb__lua_call *call) {
  cdb__lua_checked_run(L, db, shard, call, cdb__lua_all);
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, next_of_array, 2);
  return 1;
}
