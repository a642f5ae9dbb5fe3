/* The name before the cursor, such as `db:fir`, is followed from the globals through
 * raw fields and tables behind __index; nothing of the user's runs, so looking has
 * no effects. Behind a colon only functions fit. */
#include "bin/complete.h"

#include <ctype.h>
#include <string.h>

#include <lauxlib.h>

enum { MAX_CHAIN = 16, NAMES = 3, TARGET = 4 };

static int in_name(char c) { return isalnum((unsigned char)c) || c == '_'; }

/* Replaces the value on the top by the table its fields are looked up in next:
 * itself if it is a table and `itself` is set, else the one behind __index. */
static int next_table(lua_State *L, int itself) {
  if (itself && lua_istable(L, -1)) return 1;
  if (luaL_getmetafield(L, -1, "__index") == LUA_TNIL) return 0;
  lua_remove(L, -2);
  return lua_istable(L, -1);
}

/* Replaces the value on the top by its field; 0 if it has none, with anything there. */
static int follow(lua_State *L, const char *name, size_t length) {
  for (int i = 0; i < MAX_CHAIN && next_table(L, i == 0); i++) {
    lua_pushlstring(L, name, length);
    if (lua_rawget(L, -2) != LUA_TNIL) {
      lua_remove(L, -2);
      return 1;
    }
    lua_pop(L, 1);
  }
  return 0;
}

static int is_name(const char *text, size_t length) {
  if (length == 0 || isdigit((unsigned char)text[0])) return 0;
  for (size_t i = 0; i < length; i++) {
    if (!in_name(text[i])) return 0;
  }
  return 1;
}

static void add_name(lua_State *L, const char *name) {
  lua_pushstring(L, name);
  lua_rawseti(L, NAMES, (lua_Integer)lua_rawlen(L, NAMES) + 1);
}

/* Adds the names in the table on the top that begin so; pops nothing. */
static void add_fields(lua_State *L, const char *prefix, size_t length, int functions) {
  for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
    size_t size;
    if (lua_type(L, -2) != LUA_TSTRING || (functions && !lua_isfunction(L, -1))) continue;
    const char *name = lua_tolstring(L, -2, &size);
    if (size < length || memcmp(name, prefix, length) != 0 || !is_name(name, size)) continue;
    /* Names with one underscore or two in front are shown to who asks for them. */
    if (length == 0 && name[0] == '_') continue;
    add_name(L, name);
  }
}

static void add_keywords(lua_State *L, const char *prefix, size_t length) {
  static const char *const words[] = {"and",      "break",  "do",   "else", "elseif", "end",   "false", "for",
                                      "function", "goto",   "if",   "in",   "local",  "nil",   "not",   "or",
                                      "repeat",   "return", "then", "true", "until",  "while", NULL};
  for (int i = 0; words[i] != NULL; i++) {
    if (strncmp(words[i], prefix, length) == 0) add_name(L, words[i]);
  }
}

/* What all names have in common behind the first `length` bytes. */
static void push_common(lua_State *L, size_t length) {
  size_t common = 0;
  lua_Integer count = (lua_Integer)lua_rawlen(L, NAMES);
  lua_rawgeti(L, NAMES, 1);
  const char *first = lua_tolstring(L, -1, &common);
  for (lua_Integer i = 2; i <= count; i++, lua_pop(L, 1)) {
    lua_rawgeti(L, NAMES, i);
    const char *other = lua_tostring(L, -1);
    size_t same = 0;
    while (same < common && first[same] == other[same]) same++;
    common = same;
  }
  lua_pushlstring(L, first + length, common - length);
}

static void sort_names(lua_State *L) {
  lua_getglobal(L, "table");
  lua_getfield(L, -1, "sort");
  lua_pushvalue(L, NAMES);
  lua_call(L, 1, 0);
  lua_pop(L, 1);
}

int cdb__complete(lua_State *L) {
  size_t length = *(size_t *)lua_touserdata(L, 1);
  const char *text = (const char *)lua_touserdata(L, 2);
  const char *end = text + length, *start = end;
  char separator = '\0';
  while (start > text && (in_name(start[-1]) || start[-1] == '.' || start[-1] == ':')) start--;
  lua_newtable(L);
  lua_pushglobaltable(L);
  const char *name = start;
  for (const char *c = start; c < end; c++) {
    if (in_name(*c)) continue;
    if (c == name || !follow(L, name, (size_t)(c - name))) return 0;
    separator = *c;
    name = c + 1;
  }
  size_t typed = (size_t)(end - name);
  if (start == end) return 0; /* no name at all: everything would fit */
  for (int i = 0; i < MAX_CHAIN && next_table(L, i == 0); i++) add_fields(L, name, typed, separator == ':');
  if (separator == '\0') add_keywords(L, name, typed);
  if (lua_rawlen(L, NAMES) == 0) return 0;
  sort_names(L);
  push_common(L, typed);
  lua_pushvalue(L, NAMES);
  return 2;
}
