/* Rows are an array of tables without metatables, whose keys are all strings and
 * whose values are no tables; a result is the table that a routed statement
 * returns. Anything else is left to the global print, also a row by itself: it
 * cannot be told from other tables. */
#include "bin/show.h"

#include <stdio.h>

#include <lauxlib.h>

static int is_plain_table(lua_State *L, int index) {
  if (!lua_istable(L, index)) return 0;
  if (!lua_getmetatable(L, index)) return 1;
  lua_pop(L, 1);
  return 0;
}

/* Counts the fields of the row on the top; -1 if it is none. */
static int count_fields(lua_State *L) {
  int count = 0;
  if (!is_plain_table(L, -1)) return -1;
  for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1), count++) {
    if (lua_type(L, -2) == LUA_TSTRING && !lua_istable(L, -1)) continue;
    lua_pop(L, 2);
    return -1;
  }
  return count;
}

static int is_rows(lua_State *L, int index) {
  if (!is_plain_table(L, index)) return 0;
  lua_Unsigned length = lua_rawlen(L, index), seen = 0;
  int fields = 0;
  for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1), seen++) {
    int count = lua_isinteger(L, -2) ? count_fields(L) : -1;
    if (count < 0) {
      lua_pop(L, 2);
      return 0;
    }
    fields |= count;
  }
  return seen == length && fields != 0;
}

/* Is this a result? Pushes its rows and columns if so. */
static int push_result(lua_State *L, int index) {
  if (!is_plain_table(L, index)) return 0;
  lua_getfield(L, index, "results");
  lua_getfield(L, index, "columns");
  lua_getfield(L, index, "meta");
  int is_result = lua_istable(L, -3) && lua_istable(L, -2) && lua_istable(L, -1);
  lua_pop(L, is_result ? 1 : 3);
  return is_result;
}

/* Writes the rows and the columns on the top, and pops them. */
static void write_rows(lua_State *L) {
  size_t length;
  lua_getglobal(L, "require");
  lua_pushliteral(L, "collegedb.text_table");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "format");
  lua_insert(L, -4);
  lua_pop(L, 1);
  lua_call(L, 2, 1);
  const char *text = lua_tolstring(L, -1, &length);
  lua_writestring(text, length);
  lua_pop(L, 1);
}

/* A result without columns, of a statement that gives no rows. */
static void write_changes(lua_State *L, int index) {
  lua_getfield(L, index, "meta");
  lua_getfield(L, -1, "changes");
  lua_getfield(L, -2, "served_by");
  const char *changes = luaL_tolstring(L, -2, NULL);
  const char *shard = luaL_tolstring(L, -2, NULL);
  const char *line = lua_pushfstring(L, "%s changed on %s\n", changes, shard);
  lua_writestring(line, lua_rawlen(L, -1));
}

static void show_table(lua_State *L, int index) {
  int top = lua_gettop(L);
  if (!push_result(L, index)) {
    lua_pushvalue(L, index);
    lua_pushnil(L);
    write_rows(L);
  } else if (lua_rawlen(L, -1) > 0) {
    write_rows(L);
  } else {
    write_changes(L, index);
  }
  lua_settop(L, top);
}

static int is_shown(lua_State *L, int index) {
  if (is_rows(L, index)) return 1;
  if (!push_result(L, index)) return 0;
  lua_pop(L, 2);
  return 1;
}

int cdb__show(lua_State *L) {
  int count = lua_gettop(L), first = 1;
  luaL_checkstack(L, count + LUA_MINSTACK, "too many results to print");
  for (int i = 1; i <= count + 1; i++) {
    int shown = i <= count && is_shown(L, i);
    if (i <= count && !shown) continue;
    if (i > first) { /* what stands before it, on one line */
      lua_getglobal(L, "print");
      for (int j = first; j < i; j++) lua_pushvalue(L, j);
      lua_call(L, i - first, 0);
    }
    if (shown) show_table(L, i);
    first = i + 1;
  }
  return 0;
}
