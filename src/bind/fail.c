/* The one way in which a binding fails: an error object built by
 * lua/collegedb/errors.lua, which registers its constructor here. */
#include <stdarg.h>
#include <stdio.h>

#include "bind/bind.h"

static const char ERRORS[] = "collegedb.errors";

int cdb__lua_raise(lua_State *L, const cdb__fault *fault, const char *shard, const cdb__lua_call *call) {
  if (lua_getfield(L, LUA_REGISTRYINDEX, ERRORS) != LUA_TFUNCTION)
    return luaL_error(L, "%s: %s", cdb_code_name(fault->code), fault->message);
  lua_pushstring(L, cdb_code_name(fault->code));
  lua_pushstring(L, fault->message);
  lua_createtable(L, 0, 6);
  if (fault->sqlite_code) {
    lua_pushinteger(L, fault->sqlite_code);
    lua_setfield(L, -2, "sqlite_code");
  }
  if (fault->http_status) cdb__lua_set_integer(L, "http_status", fault->http_status);
  if (fault->retry_after_ms) {
    lua_pushnumber(L, (lua_Number)fault->retry_after_ms / 1000);
    lua_setfield(L, -2, "retry_after");
  }
  if (shard && *shard) {
    lua_pushstring(L, shard);
    lua_setfield(L, -2, "shard");
  }
  if (call && call->sql) {
    lua_pushlstring(L, call->sql, call->size);
    lua_setfield(L, -2, "sql");
  }
  if (call && call->key_arg) {
    lua_pushvalue(L, call->key_arg);
    lua_setfield(L, -2, "key");
  }
  lua_call(L, 3, 1);
  return lua_error(L);
}

int cdb__lua_fail(lua_State *L, int code, const char *format, ...) {
  cdb__fault fault = {.code = code};
  va_list args;
  va_start(args, format);
  vsnprintf(fault.message, sizeof fault.message, format, args);
  va_end(args);
  return cdb__lua_raise(L, &fault, NULL, NULL);
}

int cdb__lua_fail_string(lua_State *L, int arg, const char *what) {
  return cdb__lua_fail(L, CDB_USAGE, "%s must be a string, not %s", what, luaL_typename(L, arg));
}

/* core.on_error(constructor): constructor(code, message, fields) returns the object. */
int cdb__lua_on_error(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_setfield(L, LUA_REGISTRYINDEX, ERRORS);
  return 0;
}
