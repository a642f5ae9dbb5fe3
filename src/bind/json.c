/* JSON of other programs for Lua: integers keep their 64 bits, null is
 * collegedb.null, and what is too large, too deep or no JSON at all is refused. */
#include "bind/json.h"

enum { DEPTH_LIMIT = 100 };

void cdb__json_forget(cdb__json_document *d) {
  if (d->root) d->reader->jansson.delete(d->root);
  d->root = NULL;
}

static int end_document(lua_State *L) {
  cdb__json_forget(luaL_checkudata(L, 1, CDB__JSON_DOCUMENT));
  return 0;
}

static void push_array(lua_State *L, cdb__json_document *d, const json_t *array, int depth) {
  const cdb__jansson *jansson = &d->reader->jansson;
  const size_t count = jansson->array_size(array);
  lua_createtable(L, count < 1 << 20 ? (int)count : 1 << 20, 0);
  for (size_t i = 0; i < count; i++) {
    cdb__json_push(L, d, jansson->array_get(array, i), depth);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

static void push_object(lua_State *L, cdb__json_document *d, json_t *object, int depth) {
  const cdb__jansson *jansson = &d->reader->jansson;
  lua_createtable(L, 0, (int)jansson->object_size(object));
  for (void *each = jansson->object_iter(object); each; each = jansson->object_iter_next(object, each)) {
    lua_pushstring(L, jansson->object_iter_key(each));
    cdb__json_push(L, d, jansson->object_iter_value(each), depth);
    lua_rawset(L, -3);
  }
}

void cdb__json_push(lua_State *L, cdb__json_document *d, const json_t *value, int depth) {
  const cdb__jansson *jansson = &d->reader->jansson;
  luaL_checkstack(L, 4, "JSON that is nested deeply");
  const json_type type = json_typeof(value);
  d->too_deep = d->too_deep || (depth >= DEPTH_LIMIT && (type == JSON_OBJECT || type == JSON_ARRAY));
  if (d->too_deep) {
    lua_pushnil(L);
    return;
  }
  switch (type) {
    case JSON_OBJECT: push_object(L, d, (json_t *)value, depth + 1); return;
    case JSON_ARRAY: push_array(L, d, value, depth + 1); return;
    case JSON_STRING: lua_pushlstring(L, jansson->string_value(value), jansson->string_length(value)); return;
    case JSON_INTEGER: lua_pushinteger(L, jansson->integer_value(value)); return;
    case JSON_REAL: lua_pushnumber(L, jansson->real_value(value)); return;
    case JSON_TRUE: lua_pushboolean(L, 1); return;
    case JSON_FALSE: lua_pushboolean(L, 0); return;
    case JSON_NULL: cdb__lua_push_null(L); return;
  }
}

/* core.json_reader() */
static int new_reader(lua_State *L) {
  cdb__json_reader *r = lua_newuserdatauv(L, sizeof *r, 0);
  memset(r, 0, sizeof *r);
  luaL_setmetatable(L, CDB__JSON_READER);
  cdb__fault fault;
  if (cdb__jansson_load(&r->jansson, &fault) != CDB_OK) return cdb__lua_raise(L, &fault, NULL, NULL);
  return 1;
}

static json_t *load(const cdb__json_reader *r, const char *text, size_t size, bool loose,
                    json_error_t *error) {
  const size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
  json_t *root = r->jansson.loadb(text, size, flags, error);
  if (root || !loose || json_error_code(error) != json_error_numeric_overflow) return root;
  return r->jansson.loadb(text, size, flags | JSON_DECODE_INT_AS_REAL, error);
}

cdb__json_document *cdb__json_load(lua_State *L, int reader, int text, bool loose) {
  const cdb__json_reader *r = luaL_checkudata(L, reader, CDB__JSON_READER);
  size_t size;
  const char *bytes = luaL_checklstring(L, text, &size);
  json_error_t error;
  cdb__json_document *d = lua_newuserdatauv(L, sizeof *d, 1);
  *d = (cdb__json_document){.reader = r};
  luaL_setmetatable(L, CDB__JSON_DOCUMENT);
  lua_pushvalue(L, reader);
  lua_setiuservalue(L, -2, 1);
  d->root = load(r, bytes, size, loose, &error);
  if (d->root) return d;
  lua_pushnil(L);
  lua_pushfstring(L, "%s (byte %d)", error.text, error.position);
  return NULL;
}

/* reader:decode(text, loose): the value; nil and why it is no JSON. */
static int decode(lua_State *L) {
  cdb__json_document *d = cdb__json_load(L, 1, 2, lua_toboolean(L, 3));
  if (!d) return 2;
  cdb__json_push(L, d, d->root, 0);
  cdb__json_forget(d);
  if (!d->too_deep) return 1;
  lua_pushnil(L);
  lua_pushfstring(L, "it is nested more than %d levels deep", DEPTH_LIMIT);
  return 2;
}

static void new_class(lua_State *L, const char *name, lua_CFunction end, const luaL_Reg *methods) {
  luaL_newmetatable(L, name);
  if (end) {
    lua_pushcfunction(L, end);
    lua_setfield(L, -2, "__gc");
  }
  lua_newtable(L);
  luaL_setfuncs(L, methods, 0);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

void cdb__lua_open_json(lua_State *L) {
  static const luaL_Reg reader[] = {{"decode", decode}, {"d1", cdb__json_d1}, {NULL, NULL}};
  static const luaL_Reg document[] = {{"rows", cdb__json_rows}, {NULL, NULL}};
  new_class(L, CDB__JSON_READER, NULL, reader);
  new_class(L, CDB__JSON_DOCUMENT, end_document, document);
  lua_pushcfunction(L, new_reader);
  lua_setfield(L, -2, "json_reader");
}
