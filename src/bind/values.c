/* Values between Lua and SQL: parameters in, rows out, and the two kinds of
 * value that Lua has no type for: NULL as a parameter, and BLOBs. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bind/bind.h"

static const char NULL_VALUE = 0; /* its address is collegedb.null */

/* --- parameters ------------------------------------------------------------ */

/* Reads the value on top of the stack, of that type. False: it can not be bound. */
static inline bool to_value(lua_State *L, int type, cdb_value *value) {
  switch (type) {
    case LUA_TSTRING:
      value->type = CDB_TEXT;
      value->data = lua_tolstring(L, -1, &value->size);
      return true;
    case LUA_TNUMBER:
      if (lua_isinteger(L, -1)) {
        value->type = CDB_INTEGER;
        value->i = lua_tointeger(L, -1);
        return true;
      }
      value->type = CDB_REAL;
      value->d = lua_tonumber(L, -1);
      return !isnan(value->d); /* SQLite would store NULL in its place */
    case LUA_TBOOLEAN:
      value->type = CDB_INTEGER;
      value->i = lua_toboolean(L, -1);
      return true;
    case LUA_TLIGHTUSERDATA: value->type = CDB_NULL; return lua_touserdata(L, -1) == &NULL_VALUE;
    case LUA_TUSERDATA: {
      const cdb__lua_blob *blob = luaL_testudata(L, -1, CDB__BLOB_CLASS);
      if (!blob) return false;
      value->type = CDB_BLOB;
      value->data = blob->data;
      value->size = blob->size;
      return true;
    }
    default: return false;
  }
}

static void parameter_label(cdb__stmt *stmt, int index, char label[80]) {
  const char *name = stmt->shard->ops->parameter_name(stmt, index);
  if (name) snprintf(label, 80, "%s", name);
  else snprintf(label, 80, "%d", index);
}

/* Binds the value on top of the stack and pops it. */
static int bind_top(lua_State *L, cdb__stmt *stmt, int index, cdb__fault *fault) {
  cdb_value value;
  if (to_value(L, lua_type(L, -1), &value)) {
    const int code = stmt->shard->ops->bind(stmt, index, &value, fault);
    lua_pop(L, 1); /* the params table keeps the string alive */
    return code;
  }
  char label[80];
  parameter_label(stmt, index, label);
  if (lua_isnil(L, -1))
    cdb__fail(fault, CDB_USAGE, "parameter %s is missing: the statement takes %d (collegedb.null binds NULL)",
              label, stmt->parameters);
  else if (lua_type(L, -1) == LUA_TNUMBER)
    cdb__fail(fault, CDB_USAGE, "parameter %s is NaN, which SQLite can not store (collegedb.null binds NULL)",
              label);
  else
    cdb__fail(
        fault, CDB_USAGE,
        "parameter %s is a %s: it must be a string, number, boolean, collegedb.null or collegedb.blob(…)",
        label, luaL_typename(L, -1));
  lua_pop(L, 1);
  return CDB_USAGE;
}

/* Describes the key on top of the stack as a superfluous parameter. Only plain
 * keys are shown: another's __tostring would run while the statement is out. */
static int superfluous(lua_State *L, cdb__stmt *stmt, cdb__fault *fault) {
  const int type = lua_type(L, -1);
  lua_pushvalue(L, -1);
  const char *name = type == LUA_TSTRING || type == LUA_TNUMBER ? lua_tostring(L, -1) : luaL_typename(L, -1);
  cdb__fail(fault, CDB_USAGE, "parameter %s is superfluous: the statement takes %d", name, stmt->parameters);
  lua_pop(L, 1);
  return CDB_USAGE;
}

/* The first position without a value. */
static int missing(lua_State *L, int arg, cdb__stmt *stmt, cdb__fault *fault) {
  for (int i = 1; i <= stmt->parameters; i++) {
    lua_rawgeti(L, arg, i);
    const int code = bind_top(L, stmt, i, fault);
    if (code != CDB_OK) return code;
  }
  return CDB_OK;
}

/* The params key of a parameter: "id" for :id, @id and $id; its position for ? and ?3. */
static void push_parameter_key(lua_State *L, const char *name, int index) {
  if (name && name[0] != '?') lua_pushstring(L, name + 1);
  else lua_pushinteger(L, index);
}

static int check_names(lua_State *L, int arg, cdb__stmt *stmt, cdb__fault *fault) {
  for (lua_pushnil(L); lua_next(L, arg);) {
    lua_pop(L, 1);
    bool known = false;
    for (int i = 1; i <= stmt->parameters && !known; i++) {
      push_parameter_key(L, stmt->shard->ops->parameter_name(stmt, i), i);
      known = lua_rawequal(L, -1, -2);
      lua_pop(L, 1);
    }
    if (known) continue;
    superfluous(L, stmt, fault);
    lua_pop(L, 1);
    return CDB_USAGE;
  }
  return CDB_OK;
}

static int bind_names(lua_State *L, int arg, cdb__stmt *stmt, cdb__fault *fault) {
  for (int i = 1; i <= stmt->parameters; i++) {
    push_parameter_key(L, stmt->shard->ops->parameter_name(stmt, i), i);
    lua_rawget(L, arg);
    const int code = bind_top(L, stmt, i, fault);
    if (code != CDB_OK) return code;
  }
  return check_names(L, arg, stmt, fault);
}

/* Walks the table once: each key must be a position, and all positions be there. */
static __attribute__((noinline)) int bind_positions(lua_State *L, int arg, cdb__stmt *stmt,
                                                    cdb__fault *fault) {
  const int count = stmt->parameters;
  int seen = 0;
  for (lua_pushnil(L); lua_next(L, arg); seen++) {
    if (!lua_isinteger(L, -2)) {
      lua_pop(L, 2);
      return bind_names(L, arg, stmt, fault);
    }
    const lua_Integer position = lua_tointeger(L, -2);
    int code;
    if (position >= 1 && position <= count) {
      code = bind_top(L, stmt, (int)position, fault);
    } else {
      lua_pop(L, 1);
      code = superfluous(L, stmt, fault);
    }
    if (code == CDB_OK) continue;
    lua_pop(L, 1);
    return code;
  }
  return seen == count ? CDB_OK : missing(L, arg, stmt, fault);
}

/* The usual table: as many fields as parameters, with values at 1, 2, …. Whatever else it is, or wrong with
 * it, is left to bind_positions. */
static __attribute__((always_inline)) inline bool bind_array(lua_State *L, int arg, cdb__stmt *stmt) {
  int (*const bind)(cdb__stmt *, int, const cdb_value *, cdb__fault *) = stmt->shard->ops->bind;
  const int count = stmt->parameters;
  cdb__fault ignored;
  for (int i = 1; i <= count; i++) {
    cdb_value value;
    const bool bound =
        to_value(L, lua_rawgeti(L, arg, i), &value) && bind(stmt, i, &value, &ignored) == CDB_OK;
    lua_pop(L, 1); /* the params table keeps the string alive */
    if (!bound) return false;
  }
  int fields = 0;
  lua_pushnil(L);
  while (fields <= count && lua_next(L, arg)) {
    lua_pop(L, 1);
    fields++;
  }
  if (fields > count) lua_pop(L, 1);
  return fields == count;
}

int cdb__lua_params(lua_State *L, int arg, cdb__stmt *stmt, cdb__fault *fault) {
  const int type = lua_type(L, arg);
  if (type == LUA_TTABLE) return bind_array(L, arg, stmt) ? CDB_OK : bind_positions(L, arg, stmt, fault);
  if (type != LUA_TNIL && type != LUA_TNONE)
    return cdb__fail(fault, CDB_USAGE, "the parameters must be a table, not %s", luaL_typename(L, arg));
  if (stmt->parameters == 0) return CDB_OK;
  return cdb__fail(fault, CDB_USAGE, "the statement takes %d parameter%s and none was given",
                   stmt->parameters, stmt->parameters == 1 ? "" : "s");
}

/* --- rows ------------------------------------------------------------------ */

/* Most rows have the key that they were asked for by: that string is there already. */
static inline bool is_key(const cdb__lua_call *call, const cdb_value *value) {
  return value->size == call->key_size && value->size &&
         memcmp(value->data, call->key_text, value->size) == 0;
}

static inline void push_value(lua_State *L, const cdb_value *value, const cdb__lua_call *call) {
  switch (value->type) {
    case CDB_INTEGER: lua_pushinteger(L, value->i); return;
    case CDB_REAL: lua_pushnumber(L, value->d); return;
    case CDB_TEXT:
      if (is_key(call, value)) {
        lua_pushvalue(L, call->key_arg);
        return;
      }
      lua_pushlstring(L, value->data, value->size);
      return;
    case CDB_BLOB: lua_pushlstring(L, value->data, value->size); return;
    default:
      if (value->type == CDB__LOST) cdb__lua_fail(L, CDB_NOMEM, "no memory for a value");
      lua_pushnil(L);
  }
}

void cdb__lua_make_names(lua_State *L, cdb__stmt *stmt) {
  luaL_checkstack(L, 4, NULL);
  lua_createtable(L, stmt->columns, 0);
  for (int i = 0; i < stmt->columns; i++) {
    lua_pushstring(L, stmt->shard->ops->column_name(stmt, i));
    lua_rawseti(L, -2, i + 1);
  }
  if (stmt->host) luaL_unref(L, LUA_REGISTRYINDEX, stmt->host);
  stmt->host = 0;
  lua_pushvalue(L, -1);
  stmt->host = luaL_ref(L, LUA_REGISTRYINDEX);
  stmt->host_prepared = stmt->prepared;
}

const cdb__lua_call cdb__lua_no_key = {0};

void cdb__lua_push_row(lua_State *L, cdb__stmt *stmt, int names, const cdb__lua_call *call) {
  const int columns = stmt->columns;
  void (*const read)(cdb__stmt *, int, cdb_value *) = stmt->shard->ops->value;
  lua_createtable(L, 0, columns);
  for (int i = 0; i < columns; i++) {
    cdb_value value;
    read(stmt, i, &value);
    lua_rawgeti(L, names, i + 1);
    push_value(L, &value, call);
    lua_rawset(L, -3); /* nil for NULL: the field is absent, also after a namesake */
  }
}

/* --- null and blob --------------------------------------------------------- */

void cdb__lua_push_null(lua_State *L) { lua_pushlightuserdata(L, (void *)&NULL_VALUE); }

static int new_blob(lua_State *L) {
  size_t size;
  const char *data = cdb__lua_check_string(L, 1, "a blob's bytes", &size);
  cdb__lua_blob *blob = lua_newuserdatauv(L, sizeof *blob + size, 0);
  blob->size = size;
  memcpy(blob->data, data, size);
  luaL_setmetatable(L, CDB__BLOB_CLASS);
  return 1;
}

static int blob_tostring(lua_State *L) {
  const cdb__lua_blob *blob = luaL_checkudata(L, 1, CDB__BLOB_CLASS);
  lua_pushlstring(L, blob->data, blob->size);
  return 1;
}

static int blob_len(lua_State *L) {
  const cdb__lua_blob *blob = luaL_checkudata(L, 1, CDB__BLOB_CLASS);
  lua_pushinteger(L, (lua_Integer)blob->size);
  return 1;
}

void cdb__lua_open_values(lua_State *L) {
  luaL_newmetatable(L, CDB__BLOB_CLASS);
  lua_pushcfunction(L, blob_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushcfunction(L, blob_len);
  lua_setfield(L, -2, "__len");
  lua_pop(L, 1);
  lua_pushcfunction(L, new_blob);
  lua_setfield(L, -2, "blob");
  cdb__lua_push_null(L);
  lua_setfield(L, -2, "null");
}
