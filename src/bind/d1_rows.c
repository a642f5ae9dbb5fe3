/* D1's answers as rows: looked at as a whole first, so that nothing but an
 * answer is taken for one, and then made into Lua rows without a copy in between.
 * How values are written in them is said in lua/collegedb/d1_values.lua. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "bind/json.h"

/* --- the form of an answer ----------------------------------------------------------- */

/* A text in which JavaScript has replaced what was no UTF-8 is not the text. */
static bool is_plain(const cdb__jansson *jansson, const json_t *value) {
  if (json_is_null(value)) return true;
  return json_is_string(value) &&
         !memmem(jansson->string_value(value), jansson->string_length(value), "\xef\xbf\xbd", 3);
}

/* Are all rows arrays of so many values? `plain`: may all values be taken as they are? */
static bool check_rows(const cdb__json_document *d, bool *plain) {
  const cdb__jansson *jansson = &d->reader->jansson;
  *plain = true;
  for (size_t i = 0; i < jansson->array_size(d->rows); i++) {
    const json_t *row = jansson->array_get(d->rows, i);
    if (!json_is_array(row) || jansson->array_size(row) != d->columns) return false;
    for (size_t k = 0; *plain && k < d->columns; k++) *plain = is_plain(jansson, jansson->array_get(row, k));
  }
  return true;
}

/* A statement that gives no rows may leave its columns out. */
static bool check_columns(const cdb__jansson *jansson, const json_t *columns) {
  if (!columns) return true;
  if (!json_is_array(columns)) return false;
  for (size_t i = 0; i < jansson->array_size(columns); i++)
    if (!json_is_string(jansson->array_get(columns, i))) return false;
  return true;
}

/* The result of the last statement in the answer, or NULL for any other form. */
static const json_t *find_result(const cdb__json_document *d) {
  const cdb__jansson *jansson = &d->reader->jansson;
  if (!json_is_true(jansson->object_get(d->root, "success"))) return NULL;
  const json_t *list = jansson->object_get(d->root, "result");
  const size_t count = json_is_array(list) ? jansson->array_size(list) : 0;
  const json_t *last = count ? jansson->array_get(list, count - 1) : NULL;
  return json_is_object(last) && json_is_true(jansson->object_get(last, "success")) ? last : NULL;
}

/* reader:d1(text): the document, its columns, its meta, and whether all values may be taken as they are;
 * nothing for a text that is no good answer. */
int cdb__json_d1(lua_State *L) {
  cdb__json_document *d = cdb__json_load(L, 1, 2, true);
  if (!d) return 0;
  const int index = lua_gettop(L);
  const cdb__jansson *jansson = &d->reader->jansson;
  const json_t *result = find_result(d), *results = jansson->object_get(result, "results");
  const json_t *columns = jansson->object_get(results, "columns"),
               *meta = jansson->object_get(result, "meta");
  d->rows = jansson->object_get(results, "rows");
  bool plain;
  if (!check_columns(jansson, columns) || !json_is_array(d->rows)) return 0;
  d->columns = columns ? jansson->array_size(columns) : 0;
  if (!check_rows(d, &plain)) return 0;
  lua_pushvalue(L, index);
  if (columns) cdb__json_push(L, d, columns, 0);
  else lua_newtable(L);
  if (json_is_object(meta)) cdb__json_push(L, d, meta, 0);
  else lua_newtable(L);
  lua_pushboolean(L, plain);
  return d->too_deep ? 0 : 4;
}

/* --- values -------------------------------------------------------------------------- */

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

static bool push_bytes(lua_State *L, const char *digits, size_t size) {
  luaL_Buffer buffer;
  if (size % 2) return false;
  char *bytes = luaL_buffinitsize(L, &buffer, size / 2 + 1);
  bool good = true;
  for (size_t i = 0; i < size; i += 2) {
    const int high = hex_digit(digits[i]), low = hex_digit(digits[i + 1]);
    good = good && high >= 0 && low >= 0;
    bytes[i / 2] = (char)(high * 16 + low);
  }
  luaL_pushresultsize(&buffer, size / 2);
  return good;
}

static bool push_integer(lua_State *L, const char *text) {
  char *end;
  errno = 0;
  const long long value = strtoll(text, &end, 10);
  lua_pushinteger(L, value);
  return errno == 0 && end != text && *end == '\0';
}

/* A value that was asked for encoded: NULL, a real, or a text whose first byte is its type. */
static bool push_encoded(lua_State *L, const cdb__jansson *jansson, const json_t *value) {
  if (json_is_null(value)) lua_pushnil(L);
  else if (json_is_real(value)) lua_pushnumber(L, jansson->real_value(value));
  else if (json_is_integer(value)) lua_pushnumber(L, (lua_Number)jansson->integer_value(value));
  if (!json_is_string(value)) return json_is_null(value) || json_is_number(value);
  const char *text = jansson->string_value(value);
  const size_t size = jansson->string_length(value);
  switch (*text) {
    case 'i': return push_integer(L, text + 1);
    case 't': lua_pushlstring(L, text + 1, size - 1); return true;
    case 'h':
    case 'b': return push_bytes(L, text + 1, size - 1);
    case 'r': lua_pushnumber(L, text[1] == '-' ? -HUGE_VAL : HUGE_VAL); return size == 2;
    default: return false;
  }
}

/* A value as it came: a whole number is an integer, where it can not have been rounded. */
static bool push_as_is(lua_State *L, const cdb__jansson *jansson, const json_t *value) {
  if (json_is_null(value)) lua_pushnil(L);
  else if (json_is_string(value))
    lua_pushlstring(L, jansson->string_value(value), jansson->string_length(value));
  else if (json_is_integer(value)) lua_pushinteger(L, jansson->integer_value(value));
  else if (json_is_real(value)) lua_pushnumber(L, jansson->real_value(value));
  else return false;
  const double size = json_is_number(value) ? fabs(lua_tonumber(L, -1)) : 0;
  return size < 9007199254740992.0;
}

/* document:rows(names, encoded): the rows by these names; nothing when a value has another form than that.
 * The document is used up. */
int cdb__json_rows(lua_State *L) {
  cdb__json_document *d = luaL_checkudata(L, 1, CDB__JSON_DOCUMENT);
  luaL_checktype(L, 2, LUA_TTABLE);
  const bool encoded = lua_toboolean(L, 3);
  if (!d->root || !d->rows || lua_rawlen(L, 2) != d->columns) return 0;
  const cdb__jansson *jansson = &d->reader->jansson;
  const size_t count = jansson->array_size(d->rows);
  luaL_checkstack(L, 6, "rows of D1");
  lua_createtable(L, count < 1 << 20 ? (int)count : 1 << 20, 0);
  for (size_t i = 0; i < count; i++) {
    const json_t *row = jansson->array_get(d->rows, i);
    lua_createtable(L, 0, (int)d->columns);
    for (size_t k = 0; k < d->columns; k++) {
      const json_t *value = jansson->array_get(row, k);
      lua_rawgeti(L, 2, (lua_Integer)k + 1);
      if (!(encoded ? push_encoded : push_as_is)(L, jansson, value)) return 0;
      lua_rawset(L, -3);
    }
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  cdb__json_forget(d);
  return 1;
}
