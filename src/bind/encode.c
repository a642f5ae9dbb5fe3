/* core.encode_rows: many rows as one JSON text, for shards that take a statement at a time. A row is an
 * array. NULL, integers and plain text are themselves; what JSON has not is an array: [0, m, e] the real m *
 * 2^e, [1, at, size] text and [2, at, size] a blob, whose bytes stand apart. lua/collegedb/single_staging.lua
 * has the SQL that reads it. */
#include <math.h>
#include <string.h>

#include "bind/bind.h"
#include "core/text.h"
#include "shard/copy.h"

typedef struct {
  luaL_Buffer json;
  int pieces; /* index of the table that holds what stands apart */
  lua_Integer count;
  int64_t apart; /* bytes of it */
} encoding;

static void add_text(luaL_Buffer *json, const char *text, size_t size) {
  luaL_addchar(json, '"');
  for (size_t i = 0; i < size; i++) {
    char escape[8];
    if ((unsigned char)text[i] < 0x20) {
      snprintf(escape, sizeof escape, "\\u%04x", (unsigned)text[i]);
      luaL_addstring(json, escape);
      continue;
    }
    if (text[i] == '"' || text[i] == '\\') luaL_addchar(json, '\\');
    luaL_addchar(json, text[i]);
  }
  luaL_addchar(json, '"');
}

static void add_numbers(luaL_Buffer *json, const char *format, int64_t a, int64_t b) {
  char text[64];
  snprintf(text, sizeof text, format, (long long)a, (long long)b);
  luaL_addstring(json, text);
}

static void add_apart(lua_State *L, encoding *e, const cdb_value *value) {
  lua_pushlstring(L, value->size ? value->data : "", value->size);
  lua_rawseti(L, e->pieces, ++e->count);
  add_numbers(&e->json, value->type == CDB_TEXT ? "[1,%lld,%lld]" : "[2,%lld,%lld]", e->apart + 1,
              (int64_t)value->size);
  e->apart += (int64_t)value->size;
}

static void add_real(luaL_Buffer *json, double value) {
  int exponent = 0;
  if (isinf(value)) {
    luaL_addstring(json, value > 0 ? "[0,1,5000]" : "[0,-1,5000]");
    return;
  }
  int64_t mantissa = (int64_t)ldexp(frexp(value, &exponent), 53);
  exponent -= 53;
  for (; mantissa && mantissa % 2 == 0; mantissa /= 2) exponent++;
  add_numbers(json, "[0,%lld,%lld]", mantissa, mantissa ? exponent : 0);
}

static void add_value(lua_State *L, encoding *e, const cdb_value *value) {
  switch (value->type) {
    case CDB_INTEGER: add_numbers(&e->json, "%lld", value->i, 0); return;
    case CDB_REAL: add_real(&e->json, value->d); return;
    case CDB_TEXT:
      if (cdb__text_is_plain(value->data, value->size)) {
        add_text(&e->json, value->data, value->size);
        return;
      }
      break;
    case CDB_BLOB: break;
    case CDB__LOST: cdb__lua_fail(L, CDB_NOMEM, "no memory for a value"); return;
    default: luaL_addstring(&e->json, "null"); return;
  }
  add_apart(L, e, value);
}

/* A zero without its sign: that is lost on the way to some databases, and no comparison tells it. */
static void normalize(cdb_value *value) {
  if (value->type == CDB_REAL && value->d == 0) value->d = 0;
}

static void add_row(lua_State *L, encoding *e, cdb__stmt *reader, cdb__copied *copied) {
  luaL_addstring(&e->json, copied->rows > 0 ? ",[" : "[");
  for (int i = 0; i < reader->columns; i++) {
    cdb_value value;
    reader->shard->ops->value(reader, i, &value);
    normalize(&value);
    cdb__digest_value(&copied->digest, &value);
    if (i > 0) luaL_addchar(&e->json, ',');
    add_value(L, e, &value);
  }
  luaL_addchar(&e->json, ']');
  copied->rows++;
}

/* core.encode_rows(cursor, most_rows, most_bytes): encodes rows that the cursor of `each` has still to give.
 * Returns the JSON, the bytes that stand apart as a list of strings, how many rows, their digest, and whether
 * there may be more. */
static int encode_rows(lua_State *L) {
  lua_settop(L, 3);
  const cdb__lua_cursor *cursor = luaL_checkudata(L, 1, CDB__CURSOR_CLASS);
  const lua_Integer most = luaL_checkinteger(L, 2), bytes = luaL_checkinteger(L, 3);
  if (!cursor->stmt) return cdb__lua_fail(L, CDB_CLOSED, "the rows to copy were closed meanwhile");
  lua_newtable(L);
  encoding e = {.pieces = lua_gettop(L)};
  cdb__copied copied = {0};
  cdb__fault fault;
  int code = CDB__ROW;
  luaL_checkstack(L, 8, NULL);
  luaL_buffinit(L, &e.json);
  luaL_addchar(&e.json, '[');
  /* What stands apart doubles on its way. */
  while (copied.rows < most && (lua_Integer)luaL_bufflen(&e.json) + 2 * e.apart < bytes) {
    code = cdb__step(cursor->stmt, &fault);
    if (code != CDB__ROW) break;
    add_row(L, &e, cursor->stmt, &copied);
  }
  luaL_addchar(&e.json, ']');
  luaL_pushresult(&e.json);
  if (code < 0) return cdb__lua_raise(L, &fault, cursor->shard->name, NULL);
  lua_pushvalue(L, e.pieces);
  lua_pushinteger(L, copied.rows);
  lua_pushlstring(L, (const char *)&copied.digest, sizeof copied.digest);
  lua_pushboolean(L, code == CDB__ROW);
  return 5;
}

void cdb__lua_open_encode(lua_State *L) {
  static const luaL_Reg functions[] = {{"encode_rows", encode_rows}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
