/* Fields of the option tables that Lua hands over, and of those it gets back. */
#include "bind/bind.h"

int64_t cdb__lua_integer_field(lua_State *L, int table, const char *name, int64_t otherwise) {
  lua_getfield(L, table, name);
  const int64_t value = lua_isnil(L, -1) ? otherwise : (int64_t)lua_tointeger(L, -1);
  lua_pop(L, 1);
  return value;
}

bool cdb__lua_boolean_field(lua_State *L, int table, const char *name) {
  lua_getfield(L, table, name);
  const bool value = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return value;
}

const char *cdb__lua_text_field(lua_State *L, int table, const char *name, size_t *size) {
  lua_getfield(L, table, name);
  const char *text = lua_tolstring(L, -1, size);
  lua_pop(L, 1);
  return text;
}

void cdb__lua_set_integer(lua_State *L, const char *name, int64_t value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, name);
}
