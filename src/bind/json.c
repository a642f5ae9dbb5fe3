/* JSON of other programs for Lua: integers keep their 64 bits, null is
 * collegedb.null, and what is too large, too deep or no JSON at all is refused. */
#include "bind/bind.h"
#include "net/jansson.h"

#define READER_CLASS "collegedb.json.reader"
#define DOCUMENT_CLASS "collegedb.json.document"

enum { DEPTH_LIMIT = 100 };

typedef struct {
  cdb__jansson jansson;
} reader;

/* The document that is being read: a raised error frees it. */
typedef struct {
  const reader *reader; /* which must be alive while it is read */
  json_t *root;
  __typeof__(json_delete) *end;
  bool too_deep;
} document;

static void forget(document *d) {
  if (d->root) d->end(d->root);
  d->root = NULL;
}

static int end_document(lua_State *L) {
  forget(luaL_checkudata(L, 1, DOCUMENT_CLASS));
  return 0;
}

static void push_json(lua_State *L, document *d, const json_t *value, int depth);

static void push_array(lua_State *L, document *d, const json_t *array, int depth) {
  const cdb__jansson *jansson = &d->reader->jansson;
  const size_t count = jansson->array_size(array);
  lua_createtable(L, count < 1 << 20 ? (int)count : 1 << 20, 0);
  for (size_t i = 0; i < count; i++) {
    push_json(L, d, jansson->array_get(array, i), depth);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

static void push_object(lua_State *L, document *d, json_t *object, int depth) {
  const cdb__jansson *jansson = &d->reader->jansson;
  lua_createtable(L, 0, (int)jansson->object_size(object));
  for (void *each = jansson->object_iter(object); each; each = jansson->object_iter_next(object, each)) {
    lua_pushstring(L, jansson->object_iter_key(each));
    push_json(L, d, jansson->object_iter_value(each), depth);
    lua_rawset(L, -3);
  }
}

static void push_json(lua_State *L, document *d, const json_t *value, int depth) {
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
  reader *r = lua_newuserdatauv(L, sizeof *r, 0);
  memset(r, 0, sizeof *r);
  luaL_setmetatable(L, READER_CLASS);
  cdb__fault fault;
  if (cdb__jansson_load(&r->jansson, &fault) != CDB_OK) return cdb__lua_raise(L, &fault, NULL, NULL);
  return 1;
}

/* The document of the text. With `loose`, when an integer does not fit into 64 bits, all come as floats. */
static json_t *load(const reader *r, const char *text, size_t size, bool loose, json_error_t *error) {
  const size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
  json_t *root = r->jansson.loadb(text, size, flags, error);
  if (root || !loose || json_error_code(error) != json_error_numeric_overflow) return root;
  return r->jansson.loadb(text, size, flags | JSON_DECODE_INT_AS_REAL, error);
}

/* reader:decode(text, loose): the value; nil and why it is no JSON. */
static int decode(lua_State *L) {
  reader *r = luaL_checkudata(L, 1, READER_CLASS);
  size_t size;
  const char *text = luaL_checklstring(L, 2, &size);
  json_error_t error;
  document *d = lua_newuserdatauv(L, sizeof *d, 0);
  *d = (document){.reader = r, .end = r->jansson.delete};
  luaL_setmetatable(L, DOCUMENT_CLASS);
  d->root = load(r, text, size, lua_toboolean(L, 3), &error);
  if (!d->root) {
    lua_pushnil(L);
    lua_pushfstring(L, "%s (byte %d)", error.text, error.position);
    return 2;
  }
  push_json(L, d, d->root, 0);
  forget(d);
  if (!d->too_deep) return 1;
  lua_pushnil(L);
  lua_pushfstring(L, "it is nested more than %d levels deep", DEPTH_LIMIT);
  return 2;
}

void cdb__lua_open_json(lua_State *L) {
  static const luaL_Reg methods[] = {{"decode", decode}, {NULL, NULL}};
  luaL_newmetatable(L, DOCUMENT_CLASS);
  lua_pushcfunction(L, end_document);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
  luaL_newmetatable(L, READER_CLASS);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  lua_pushcfunction(L, new_reader);
  lua_setfield(L, -2, "json_reader");
}
