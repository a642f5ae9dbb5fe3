/* Keys as Lua hands them over: strings, integers, and the explicit keys that
 * db:key makes. Identity is typed by the key column of the statement's main
 * table: on an INTEGER key 17, 17.0 and "17" are one key. */
#include <stdio.h>
#include <string.h>

#include "bind/bind.h"

static void use_text(lua_State *L, cdb__key *key, const cdb__keyspace *space, const char *text, size_t size) {
  if (size == 0)
    cdb__lua_fail(L, CDB_USAGE, "the key is an empty string; it must have 1 to %d bytes", CDB__KEY_MAX);
  if (size > CDB__KEY_MAX)
    cdb__lua_fail(L, CDB_USAGE, "the key is %zu bytes long; it must have 1 to %d bytes", size, CDB__KEY_MAX);
  cdb__key_text(key, space, text, size);
}

/* "017", " 17", "17\n" or "1e2": on a column of numbers SQLite takes it for 17 or 100,
 * so that one row would have several keys. */
static bool is_odd_number(const char *text, size_t size) {
  bool digit = false;
  for (size_t i = 0; i < size; i++) {
    if (!strchr("0123456789+-.eE \t\n\v\f\r", text[i])) return false;
    digit = digit || (text[i] >= '0' && text[i] <= '9');
  }
  return digit;
}

static void use_integer(lua_State *L, cdb__lua_db *db, const cdb__lua_plan *plan, int64_t value,
                        bool was_float, cdb__lua_key_arg *out) {
  switch (plan ? plan->key_kind : CDB__KEY_UNKNOWN) {
    case CDB__KEY_INTEGER: cdb__key_integer(&out->key, &plan->space, value); return;
    case CDB__KEY_UNKNOWN:
      if (plan && plan->table[0])
        cdb__lua_fail(
            L, CDB_USAGE,
            "the integer key %lld needs a table with a known key, and %s has none: write db:key(table, %lld)",
            (long long)value, plan->table, (long long)value);
      cdb__lua_fail(L, CDB_USAGE,
                    "the integer key %lld needs a table to belong to: write db:key(table, %lld)",
                    (long long)value, (long long)value);
      return;
    default:
      if (was_float)
        cdb__lua_fail(
            L, CDB_USAGE,
            "a float can not be the key of %s, whose key column holds text: write the key as a string",
            plan->table);
      cdb__key_integer(&out->key, &db->global, value);
  }
}

void cdb__lua_refuse_capitals(lua_State *L, int arg, const cdb__lua_db *db) {
  if (!db->either || lua_type(L, arg) != LUA_TSTRING) return;
  const char *text = lua_tostring(L, arg);
  for (const char *c = text; *c; c++)
    if (*c >= 'A' && *c <= 'Z')
      cdb__lua_fail(L, CDB_USAGE,
                    "the key \"%s\" could be of a table that compares NOCASE, or of one that does not: "
                    "write db:key(table, \"%s\")",
                    text, text);
}

void cdb__lua_check_key(lua_State *L, int arg, cdb__lua_db *db, const cdb__lua_plan *plan,
                        cdb__lua_key_arg *out) {
  switch (lua_type(L, arg)) {
    case LUA_TSTRING: {
      size_t size;
      int64_t value;
      const char *text = lua_tolstring(L, arg, &size);
      if (plan && plan->key_kind == CDB__KEY_INTEGER && cdb__decimal(text, size, &value))
        cdb__key_integer(&out->key, &plan->space, value);
      else {
        const int kind = plan ? plan->key_kind : CDB__KEY_UNKNOWN;
        const bool numeric = kind == CDB__KEY_INTEGER || kind == CDB__KEY_NUMERIC;
        if (numeric && !cdb__decimal(text, size, &value) && is_odd_number(text, size))
          cdb__lua_fail(L, CDB_USAGE, "the key \"%s\" of %s must be an integer in plain digits", text,
                        plan->table);
        use_text(L, &out->key, &db->global, text, size);
        if (plan && kind == CDB__KEY_UNKNOWN) cdb__lua_refuse_capitals(L, arg, db);
        if (kind == CDB__KEY_UNKNOWN ? db->fold : plan->fold) cdb__key_fold(&out->key, out->folded);
      }
      return;
    }
    case LUA_TNUMBER: {
      int is_integral;
      const lua_Integer value = lua_tointegerx(L, arg, &is_integral);
      if (!is_integral)
        cdb__lua_fail(L, CDB_USAGE, "the key is the float %s; a key is a string, an integer or db:key(…)",
                      luaL_tolstring(L, arg, NULL));
      use_integer(L, db, plan, value, !lua_isinteger(L, arg), out);
      return;
    }
    case LUA_TUSERDATA: {
      const cdb__lua_key *key = luaL_testudata(L, arg, CDB__KEY_CLASS);
      if (!key) break;
      out->space = cdb__keyspace_make(key->data, key->space_size, db->seed);
      cdb__key_text(&out->key, &out->space, key->data + key->space_size, key->text_size);
      return;
    }
    default: break;
  }
  cdb__lua_fail(L, CDB_USAGE, "the key is a %s; a key is a string, an integer or db:key(…)",
                luaL_typename(L, arg));
}

/* core.key(keyspace, text, label): the value that db:key returns. */
static int new_key(lua_State *L) {
  size_t space_size, text_size;
  const char *space = cdb__lua_check_string(L, 1, "a keyspace", &space_size);
  const char *text = cdb__lua_check_string(L, 2, "a key", &text_size);
  cdb__key checked;
  use_text(L, &checked, NULL, text, text_size);
  cdb__lua_key *key = lua_newuserdatauv(L, sizeof *key + space_size + text_size, 1);
  key->space_size = space_size;
  key->text_size = text_size;
  memcpy(key->data, space, space_size);
  memcpy(key->data + space_size, text, text_size);
  luaL_setmetatable(L, CDB__KEY_CLASS);
  lua_pushvalue(L, 3);
  lua_setiuservalue(L, -2, 1);
  return 1;
}

/* core.key_parts(value): keyspace and text, or nothing for any other value. */
static int key_parts(lua_State *L) {
  const cdb__lua_key *key = luaL_testudata(L, 1, CDB__KEY_CLASS);
  if (!key) return 0;
  lua_pushlstring(L, key->data, key->space_size);
  lua_pushlstring(L, key->data + key->space_size, key->text_size);
  return 2;
}

static int key_tostring(lua_State *L) {
  luaL_checkudata(L, 1, CDB__KEY_CLASS);
  lua_getiuservalue(L, 1, 1);
  return 1;
}

static int key_equals(lua_State *L) {
  const cdb__lua_key *a = luaL_testudata(L, 1, CDB__KEY_CLASS), *b = luaL_testudata(L, 2, CDB__KEY_CLASS);
  lua_pushboolean(L, a && b && a->space_size == b->space_size && a->text_size == b->text_size &&
                         memcmp(a->data, b->data, a->space_size + a->text_size) == 0);
  return 1;
}

/* core.decimal(text): the integer of canonical decimal digits, or nil. */
static int decimal(lua_State *L) {
  size_t size;
  int64_t value;
  const char *text = cdb__lua_check_string(L, 1, "a key", &size);
  if (cdb__decimal(text, size, &value)) lua_pushinteger(L, value);
  else lua_pushnil(L);
  return 1;
}

/* core.is_odd_number(text): see above */
static int odd_number(lua_State *L) {
  size_t size;
  const char *text = cdb__lua_check_string(L, 1, "a key", &size);
  int64_t value;
  lua_pushboolean(L, !cdb__decimal(text, size, &value) && is_odd_number(text, size));
  return 1;
}

void cdb__lua_open_keys(lua_State *L) {
  static const luaL_Reg functions[] = {{"key", new_key},
                                       {"key_parts", key_parts},
                                       {"decimal", decimal},
                                       {"is_odd_number", odd_number},
                                       {NULL, NULL}};
  luaL_newmetatable(L, CDB__KEY_CLASS);
  lua_pushcfunction(L, key_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushcfunction(L, key_equals);
  lua_setfield(L, -2, "__eq");
  lua_pop(L, 1);
  luaL_setfuncs(L, functions, 0);
  cdb__lua_set_integer(L, "key_max", CDB__KEY_MAX);
}
