/* The C interface's statements, rows, and locate.
 *
 * A statement is routed and bound by db:each, in Lua; its rows are then read
 * straight from the statement. The cursor behind them belongs to Lua, which a
 * registry reference keeps from collecting it; it is let go with the last row. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "bind/bind.h"
#include "capi.h"

enum { MAX_PARAMS = 1000000 }; /* SQLite allows fewer */

struct cdb_rows {
  cdb *db; /* NULL once the router was closed */
  cdb_rows *next, **link;
  cdb__lua_cursor *cursor; /* NULL: no row is left */
  int anchor;              /* registry reference of the cursor */
  bool waiting;            /* the first row was read by cdb_query and not handed out yet */
  bool on_row;
  size_t columns;
  const char **names; /* one block, with the texts behind the pointers */
  int64_t changes;
  cdb_error failure; /* code 0: none */
};

/* --- arguments --------------------------------------------------------------- */

static const char *type_name(int type) {
  switch (type) {
    case CDB_NULL: return "NULL";
    case CDB_INTEGER: return "an integer";
    case CDB_REAL: return "a float";
    case CDB_TEXT: return "text";
    case CDB_BLOB: return "a blob";
    default: return "no type of a cdb_value";
  }
}

static int check_key(const cdb_value *key, cdb_error *err) {
  if (!key) return cdb__capi_fail(err, CDB_USAGE, "the key is a NULL pointer");
  if (key->type == CDB_INTEGER) return CDB_OK;
  if (key->type != CDB_TEXT)
    return cdb__capi_fail(err, CDB_USAGE, "the key is %s; a key is CDB_TEXT or CDB_INTEGER",
                          type_name(key->type));
  if (key->size > CDB__KEY_MAX)
    return cdb__capi_fail(err, CDB_USAGE, "the key is %zu bytes long; it must have 1 to %d bytes", key->size,
                          CDB__KEY_MAX);
  if (key->size && !key->data) return cdb__capi_fail(err, CDB_USAGE, "the key's data is a NULL pointer");
  return CDB_OK;
}

/* Only what would go wrong before SQLite can refuse it. */
static int check_params(const cdb_value *params, size_t count, cdb_error *err) {
  if (count && !params)
    return cdb__capi_fail(err, CDB_USAGE, "the parameters are a NULL pointer, and their count is %zu", count);
  if (count > MAX_PARAMS)
    return cdb__capi_fail(err, CDB_USAGE, "%zu parameters are more than a statement can take", count);
  for (size_t i = 0; i < count; i++) {
    const cdb_value *value = &params[i];
    if (value->type < CDB_NULL || value->type > CDB_BLOB)
      return cdb__capi_fail(err, CDB_USAGE, "parameter %zu has the type %d, which is none of a cdb_value",
                            i + 1, value->type);
    if (value->type != CDB_TEXT && value->type != CDB_BLOB) continue;
    if (value->size > INT32_MAX)
      return cdb__capi_fail(err, CDB_TOO_LARGE, "parameter %zu has %zu bytes; SQLite takes less than 2 GiB",
                            i + 1, value->size);
    if (value->size && !value->data)
      return cdb__capi_fail(err, CDB_USAGE, "parameter %zu has %zu bytes, and its data is a NULL pointer",
                            i + 1, value->size);
  }
  return CDB_OK;
}

static void push_text(lua_State *L, const cdb_value *value) {
  lua_pushlstring(L, value->size ? value->data : "", value->size);
}

static void push_blob(lua_State *L, const cdb_value *value) {
  cdb__lua_blob *blob = lua_newuserdatauv(L, sizeof *blob + value->size, 0);
  blob->size = value->size;
  if (value->size) memcpy(blob->data, value->data, value->size);
  luaL_setmetatable(L, CDB__BLOB_CLASS);
}

static void push_value(lua_State *L, const cdb_value *value) {
  switch (value->type) {
    case CDB_INTEGER: lua_pushinteger(L, value->i); return;
    case CDB_REAL: lua_pushnumber(L, value->d); return;
    case CDB_TEXT: push_text(L, value); return;
    case CDB_BLOB: push_blob(L, value); return;
    default: lua_getfield(L, CAPI_CORE, "null");
  }
}

/* nil for none, so that a statement that takes some says so. */
static void push_params(lua_State *L, const cdb_value *params, size_t count) {
  if (!count) {
    lua_pushnil(L);
    return;
  }
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    push_value(L, &params[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

/* --- running a statement ------------------------------------------------------ */

typedef struct {
  const cdb_value *key;
  const char *sql;
  const cdb_value *params;
  size_t count;
  cdb_rows *rows;
} query;

/* Calls db[method](db, key, sql, params), whose last three stand at CAPI_FREE and behind. */
static void call_routed(lua_State *L, const char *method, int results) {
  lua_getfield(L, CAPI_DATABASE, method);
  lua_pushvalue(L, CAPI_DATABASE);
  for (int i = 0; i < 3; i++) lua_pushvalue(L, CAPI_FREE + i);
  lua_call(L, 4, results);
}

/* The result of db:run is on top. */
static int64_t changes_of(lua_State *L) {
  lua_getfield(L, -1, "meta");
  lua_getfield(L, -1, "changes");
  return lua_tointeger(L, -1);
}

/* core.route(db, key, sql, insert), then shard:each(sql, params): for check_keys,
 * under which db:each reads a write to its end and loses the types of its values. */
static void call_unchecked(lua_State *L, const char *sql) {
  cdb__sql_info info;
  cdb__sql_scan(sql, strlen(sql), &info);
  lua_getfield(L, CAPI_CORE, "route");
  lua_pushvalue(L, CAPI_DATABASE);
  lua_pushvalue(L, CAPI_FREE);
  lua_pushvalue(L, CAPI_FREE + 1);
  lua_pushboolean(L, info.kind == CDB__SQL_INSERT);
  lua_call(L, 4, 1);
  lua_getfield(L, -1, "each");
  lua_insert(L, -2);
  lua_pushvalue(L, CAPI_FREE + 1);
  lua_pushvalue(L, CAPI_FREE + 2);
  lua_call(L, 3, 4);
}

/* Opens a cursor. A statement without columns is run at once instead, by db:run,
 * which also does what is only done there: check_keys, and noticing changes of the schema. */
static int start(lua_State *L) {
  const query *q = lua_touserdata(L, CAPI_CONTEXT);
  const cdb__lua_db *db = cdb__lua_check_db(L, CAPI_DATABASE);
  cdb__fault ignored;
  lua_pushboolean(L, 0); /* the reference is made first: what comes after the cursor must not raise */
  q->rows->anchor = luaL_ref(L, LUA_REGISTRYINDEX);
  push_value(L, q->key);
  lua_pushstring(L, q->sql);
  push_params(L, q->params, q->count);
  if (db->check_keys) call_unchecked(L, q->sql);
  else call_routed(L, "each", 4);
  cdb__lua_cursor *cursor = luaL_testudata(L, -1, CDB__CURSOR_CLASS);
  if (!cursor || !cursor->stmt) return cdb__lua_fail(L, CDB_INTERNAL, "db:each returned no open cursor");
  if (cursor->stmt->columns) {
    lua_rawseti(L, LUA_REGISTRYINDEX, q->rows->anchor);
    q->rows->cursor = cursor;
    return 0;
  }
  cdb__lua_cursor_end(cursor, &ignored);
  call_routed(L, "run", 1);
  q->rows->changes = changes_of(L);
  return 0;
}

/* Lets the cursor and the reference go; asks Lua for no memory. */
static void release_cursor(cdb_rows *rows) {
  cdb__fault ignored;
  if (rows->cursor) cdb__lua_cursor_end(rows->cursor, &ignored);
  if (rows->db) luaL_unref(rows->db->L, LUA_REGISTRYINDEX, rows->anchor);
  rows->anchor = LUA_NOREF;
  rows->cursor = NULL;
  rows->waiting = rows->on_row = false;
}

/* Room for the columns' names and the pointers to them. */
static size_t names_size(cdb__stmt *stmt) {
  size_t size = 0;
  for (int i = 0; i < stmt->columns; i++)
    size += sizeof(char *) + strlen(stmt->shard->ops->column_name(stmt, i)) + 1;
  return size;
}

/* Copies the columns' names, because the statement goes back to its cache with the last row. */
static int copy_names(cdb_rows *rows, cdb_error *err) {
  cdb__stmt *stmt = rows->cursor->stmt;
  const size_t count = (size_t)stmt->columns, size = names_size(stmt);
  const char **names = malloc(size);
  if (!names) return cdb__capi_fail(err, CDB_NOMEM, "no memory for the names of %zu columns", count);
  char *text = (char *)(names + count), *end = (char *)names + size;
  for (size_t i = 0; i < count; i++) {
    names[i] = text;
    snprintf(text, (size_t)(end - text), "%s", stmt->shard->ops->column_name(stmt, (int)i));
    text += strlen(text) + 1;
  }
  free(rows->names);
  rows->names = names;
  rows->columns = count;
  return CDB_OK;
}

/* The code of rows that can not go on, now and whenever they are asked again. */
static int end_with(cdb_rows *rows, int code, const char *message, const char *shard, cdb_error *err) {
  cdb__capi_report(&rows->failure, code, message, shard);
  if (err) *err = rows->failure;
  release_cursor(rows);
  return code;
}

static const char CLOSED[] = "the router was closed while these rows were read";

/* Reads one row: 1, or 0 or a code when no more can come. */
static int step(cdb_rows *rows, cdb_error *err) {
  cdb__lua_cursor *cursor = rows->cursor;
  cdb__stmt *stmt = cursor->stmt;
  if (!stmt) return end_with(rows, CDB_CLOSED, CLOSED, NULL, err);
  cdb__fault fault, ending;
  const int code = cdb__step(stmt, &fault);
  if (code == CDB__ROW) return code;
  if (code == CDB__DONE) rows->changes = stmt->shard->ops->changes(stmt);
  cdb__lua_cursor_end(cursor, &ending);
  if (code == CDB__DONE) fault = ending; /* a write may fail only when it is ended */
  if (fault.code != CDB_OK) return end_with(rows, fault.code, fault.message, cursor->shard->name, err);
  release_cursor(rows);
  return CDB_OK;
}

/* Reads the first row at once: the statement runs when cdb_query is called, and fails there. */
static int read_first(cdb_rows *rows, cdb_error *err) {
  int code = copy_names(rows, err);
  if (code != CDB_OK) return code;
  const cdb__stmt *stmt = rows->cursor->stmt;
  const int prepared = stmt->prepared;
  code = step(rows, err);
  if (code != CDB__ROW) return code;
  rows->waiting = true;
  /* The schema had changed meanwhile, and the columns may be others. */
  return stmt->prepared == prepared ? CDB_OK : copy_names(rows, err);
}

static cdb_rows *new_rows(cdb *db) {
  cdb_rows *rows = calloc(1, sizeof *rows);
  if (!rows) return NULL;
  rows->anchor = LUA_NOREF;
  rows->db = db;
  rows->next = db->rows;
  rows->link = &db->rows;
  if (rows->next) rows->next->link = &rows->next;
  db->rows = rows;
  return rows;
}

int cdb_query(cdb *db, const cdb_value *key, const char *sql, const cdb_value *params, size_t count,
              cdb_rows **out, cdb_error *err) {
  if (!out) return cdb__capi_fail(err, CDB_USAGE, "cdb_query needs a place for the rows");
  *out = NULL;
  if (!db) return cdb__capi_fail(err, CDB_USAGE, "the router is a NULL pointer");
  if (!sql) return cdb__capi_fail(err, CDB_USAGE, "the SQL text is a NULL pointer");
  int code = check_key(key, err);
  if (code == CDB_OK) code = check_params(params, count, err);
  if (code != CDB_OK) return code;
  cdb_rows *rows = new_rows(db);
  if (!rows) return cdb__capi_fail(err, CDB_NOMEM, "no memory for rows");
  code = cdb__capi_protect(db, start, &(query){key, sql, params, count, rows}, 0, err);
  if (code == CDB_OK && rows->cursor) code = read_first(rows, err);
  else release_cursor(rows);
  if (code == CDB_OK) *out = rows;
  else cdb_rows_close(rows);
  return code;
}

/* --- rows --------------------------------------------------------------------- */

int cdb_rows_next(cdb_rows *rows, cdb_error *err) {
  if (!rows) return cdb__capi_fail(err, CDB_USAGE, "the rows are a NULL pointer");
  if (rows->failure.code != CDB_OK) {
    if (err) *err = rows->failure;
    return rows->failure.code;
  }
  if (!rows->cursor) return 0;
  const int code = rows->waiting ? CDB__ROW : step(rows, err);
  rows->waiting = false;
  rows->on_row = code == CDB__ROW;
  return code;
}

size_t cdb_rows_columns(const cdb_rows *rows) { return rows ? rows->columns : 0; }

const char *cdb_rows_name(const cdb_rows *rows, size_t column) {
  return rows && column < rows->columns ? rows->names[column] : NULL;
}

cdb_value cdb_rows_value(const cdb_rows *rows, size_t column) {
  cdb_value value = {.type = CDB_NULL};
  if (!rows || !rows->on_row || column >= rows->columns) return value;
  cdb__stmt *stmt = rows->cursor->stmt;
  if (stmt) stmt->shard->ops->value(stmt, (int)column, &value);
  if (value.type == CDB__LOST) value.type = CDB_NULL;
  return value;
}

int64_t cdb_rows_changes(const cdb_rows *rows) { return rows ? rows->changes : 0; }

void cdb_rows_close(cdb_rows *rows) {
  if (!rows) return;
  release_cursor(rows);
  if (rows->db) {
    *rows->link = rows->next;
    if (rows->next) rows->next->link = rows->link;
  }
  free(rows->names);
  free(rows);
}

void cdb__capi_detach_rows(cdb *db) {
  for (cdb_rows *rows = db->rows; rows; rows = rows->next) {
    if (rows->cursor) end_with(rows, CDB_CLOSED, CLOSED, NULL, NULL);
    rows->db = NULL;
  }
}

/* --- where a key is ------------------------------------------------------------ */

typedef struct {
  const cdb_value *key;
  char *shard;
  size_t size;
} locate;

/* With core.state's catalog.tables on top: pushes the name of a table with
 * integer keys, or nil. Tables of one keyspace hold rows of the same keys. */
static void push_integer_table(lua_State *L, int64_t key) {
  const int tables = lua_gettop(L), space = tables + 1, name = tables + 2, each = tables + 4;
  lua_pushnil(L);
  lua_pushnil(L);
  for (lua_pushnil(L); lua_next(L, tables); lua_settop(L, each - 1)) {
    lua_getfield(L, each, "kind");
    if (strcmp(lua_tostring(L, -1), "integer") != 0) continue;
    lua_getfield(L, each, "name");
    lua_getfield(L, each, "keyspace");
    if (!lua_isnil(L, space) && !lua_rawequal(L, space, -1))
      cdb__lua_fail(L, CDB_USAGE,
                    "the integer key %lld could be of %s or of %s, and cdb_locate takes no table",
                    (long long)key, lua_tostring(L, name), lua_tostring(L, -2));
    lua_replace(L, space);
    lua_replace(L, name);
  }
}

/* An integer names a row together with a table, as db:key(table, integer). Where
 * no table has integer keys, it is the same key as its decimal text. */
static void push_integer_key(lua_State *L, int64_t key) {
  lua_getfield(L, CAPI_CORE, "state");
  lua_pushvalue(L, CAPI_DATABASE);
  lua_call(L, 1, 1);
  const int state = lua_gettop(L);
  lua_getfield(L, state, "refresh_catalog");
  lua_pushvalue(L, state);
  lua_call(L, 1, 0);
  lua_getfield(L, state, "catalog");
  lua_getfield(L, -1, "tables");
  push_integer_table(L, key);
  const int table = lua_gettop(L);
  if (lua_isnil(L, table)) {
    lua_pushfstring(L, "%I", (LUAI_UACINT)key);
    return;
  }
  lua_getfield(L, CAPI_DATABASE, "key");
  lua_pushvalue(L, CAPI_DATABASE);
  lua_pushvalue(L, table);
  lua_pushinteger(L, key);
  lua_call(L, 3, 1);
}

static int find_shard(lua_State *L) {
  const locate *l = lua_touserdata(L, CAPI_CONTEXT);
  lua_getfield(L, CAPI_CORE, "shard_name");
  lua_getfield(L, CAPI_CORE, "route");
  if (l->key->type == CDB_INTEGER) push_integer_key(L, l->key->i);
  else push_text(L, l->key);
  const int key = lua_gettop(L);
  lua_pushvalue(L, CAPI_FREE + 1);
  lua_pushvalue(L, CAPI_DATABASE);
  lua_pushvalue(L, key);
  lua_pushnil(L);
  lua_pushboolean(L, 0); /* gives the key no place */
  lua_call(L, 4, 1);
  lua_pushvalue(L, CAPI_FREE);
  lua_insert(L, -2);
  lua_call(L, 1, 1);
  size_t size;
  const char *name = luaL_checklstring(L, -1, &size);
  if (size >= l->size)
    return cdb__lua_fail(L, CDB_TOO_LARGE, "the shard's name takes %zu bytes, and the buffer has %zu",
                         size + 1, l->size);
  memcpy(l->shard, name, size + 1);
  return 0;
}

int cdb_locate(cdb *db, const cdb_value *key, char *shard, size_t size, cdb_error *err) {
  if (!shard) return cdb__capi_fail(err, CDB_USAGE, "cdb_locate needs a buffer for the shard's name");
  if (size) shard[0] = '\0';
  if (!db) return cdb__capi_fail(err, CDB_USAGE, "the router is a NULL pointer");
  const int code = check_key(key, err);
  return code != CDB_OK ? code : cdb__capi_protect(db, find_shard, &(locate){key, shard, size}, 0, err);
}
