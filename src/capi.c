/* The C interface, include/collegedb.h: a router inside a Lua state of its own.
 *
 * Here: errors, calling into Lua, opening and closing. Whatever may raise a
 * Lua error runs in cdb__capi_protect, so that none escapes. The host owns cdb
 * and cdb_rows until it closes them; rows are on their router's list, so that
 * closing the router can detach them. capi_query.c has the rest. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "bind/bind.h"
#include "capi.h"
#include "collegedb_lua.h"

enum {
  SCRIPT_LIMIT = 100000000
}; /* instructions of the config: its own script_limit is not known before it ran */

/* --- errors ----------------------------------------------------------------- */

/* One line in `out`, cut between two characters where it is too long. */
static void set_message(cdb_error *out, const char *text) {
  size_t size = strlen(text);
  if (size >= sizeof out->message) {
    size = sizeof out->message - 1;
    while (size && ((unsigned char)text[size] & 0xC0) == 0x80) size--;
  }
  for (size_t i = 0; i < size; i++) out->message[i] = text[i] == '\n' || text[i] == '\r' ? ' ' : text[i];
  out->message[size] = '\0';
}

/* `shard` is added unless the message names it; it may be NULL. */
int cdb__capi_report(cdb_error *err, int code, const char *message, const char *shard) {
  char text[sizeof err->message + 160];
  if (!err) return code;
  err->code = code;
  if (shard && *shard && !strstr(message, shard)) {
    snprintf(text, sizeof text, "%s (shard %s)", message, shard);
    message = text;
  }
  set_message(err, message);
  return code;
}

__attribute__((format(printf, 3, 4))) int cdb__capi_fail(cdb_error *err, int code, const char *format, ...) {
  char text[sizeof err->message];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return cdb__capi_report(err, code, text, NULL);
}

static int code_of(const char *name) {
#define CODE_OF(id, value, retryable, text) \
  if (strcmp(name, #id) == 0) return CDB_##id;
  CDB_ERROR_CODES(CODE_OF)
#undef CODE_OF
  return CDB_INTERNAL;
}

/* A field that is a string, else ""; it stays on the stack. */
static const char *raw_string(lua_State *L, int table, const char *name) {
  lua_pushstring(L, name);
  return lua_rawget(L, table) == LUA_TSTRING ? lua_tostring(L, -1) : "";
}

/* Code that caught and wrapped it (`require`, a script's pcall) has left of a memory error only its text. */
static bool is_memory_error(const char *message) {
  static const char text[] = "not enough memory";
  const size_t size = strlen(message), end = sizeof text - 1;
  return size >= end && strcmp(message + size - end, text) == 0;
}

typedef struct {
  cdb_error *err;
  int code;
} explained;

/* (explained, error value, module or nil): protected, since reading an error may raise one. */
static int explain(lua_State *L) {
  explained *out = lua_touserdata(L, 1);
  bool is_ours = false;
  if (lua_istable(L, 3)) {
    lua_getfield(L, 3, "is_error");
    lua_pushvalue(L, 2);
    lua_call(L, 1, 1);
    is_ours = lua_toboolean(L, -1);
  }
  if (is_ours) {
    out->code = code_of(raw_string(L, 2, "code"));
    if (is_memory_error(raw_string(L, 2, "cause"))) out->code = CDB_NOMEM;
    const char *message = raw_string(L, 2, "message");
    cdb__capi_report(out->err, out->code, message, raw_string(L, 2, "shard"));
    return 0;
  }
  /* CollegeDB raises objects and Lua raises texts: any other value comes from a script. */
  const bool is_text = lua_type(L, 2) == LUA_TSTRING;
  const char *message = luaL_tolstring(L, 2, NULL);
  out->code = !is_text ? CDB_SCRIPT : is_memory_error(message) ? CDB_NOMEM : CDB_INTERNAL;
  cdb__capi_report(out->err, out->code, message, NULL);
  return 0;
}

/* The code for the error value on top of the stack, which it pops. `base` values of cdb_open are there. */
static int explain_top(lua_State *L, int base, int status, cdb_error *err) {
  explained out = {err, CDB_INTERNAL};
  if (status != LUA_ERRMEM) {
    lua_pushcfunction(L, explain);
    lua_insert(L, -2);
    lua_pushlightuserdata(L, &out);
    lua_insert(L, -2);
    if (base >= CAPI_MODULE - 1) lua_pushvalue(L, CAPI_MODULE - 1);
    else lua_pushnil(L);
    status = lua_pcall(L, 3, 0, 0);
    if (status == LUA_OK) return out.code;
  }
  lua_pop(L, 1);
  if (status == LUA_ERRMEM) return cdb__capi_fail(err, CDB_NOMEM, "memory ran out");
  return cdb__capi_fail(err, CDB_INTERNAL, "an error whose description fails as well");
}

/* Nothing runs between two calls: a statement still listed was left behind by an error (src/bind/run.c). */
static void take_back_statements(const cdb__lua_db *db) {
  cdb__fault ignored;
  for (int i = 0; i < db->shard_count; i++)
    while (db->shards[i]->running) cdb__lua_end(db->shards[i], db->shards[i]->running, &ignored);
}

int cdb__capi_protect(cdb *db, lua_CFunction f, void *context, int results, cdb_error *err) {
  lua_State *L = db->L;
  const int base = lua_gettop(L);
  if (!lua_checkstack(L, LUA_MINSTACK)) return cdb__capi_fail(err, CDB_NOMEM, "memory ran out");
  lua_pushcfunction(L, f);
  lua_pushlightuserdata(L, context);
  for (int i = 1; i <= base; i++) lua_pushvalue(L, i);
  const int status = lua_pcall(L, base + 1, results, 0);
  if (status == LUA_OK) return CDB_OK;
  if (base >= CAPI_DATABASE - 1) take_back_statements(lua_touserdata(L, CAPI_DATABASE - 1));
  return explain_top(L, base, status, err);
}

/* --- opening and closing ----------------------------------------------------- */

/* Stands for os.exit: a library does not end the program that uses it. */
static int refuse_exit(lua_State *L) {
  return luaL_error(L, "os.exit is not available in a config that a C program opens");
}

/* Returns the modules collegedb and collegedb.core. */
static int boot(lua_State *L) {
  luaL_checkversion(L);
  luaL_openlibs(L);
  lua_getglobal(L, "os");
  lua_pushcfunction(L, refuse_exit);
  lua_setfield(L, -2, "exit");
  luaL_requiref(L, "collegedb", luaopen_collegedb, 0);
  luaL_requiref(L, "collegedb.core", luaopen_collegedb_core, 0);
  return 2;
}

/* Pushes what the config file returns, run under the guard of lua/collegedb/loader.lua. */
static void push_config(lua_State *L, const char *path) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "collegedb.loader");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "call");
  lua_remove(L, -2);
  lua_pushfstring(L, "config %s", path);
  lua_pushinteger(L, SCRIPT_LIMIT);
  errno = 0;
  const int status = luaL_loadfilex(L, path, "t");
  if (status == LUA_ERRMEM || errno == ENOMEM)
    cdb__lua_fail(L, CDB_NOMEM, "no memory to read the config %s", path);
  if (status == LUA_ERRFILE) cdb__lua_fail(L, CDB_CONFIG, "%s", lua_tostring(L, -1));
  if (status != LUA_OK) cdb__lua_fail(L, CDB_SCRIPT, "config %s failed: %s", path, lua_tostring(L, -1));
  lua_call(L, 3, 1);
  if (!lua_istable(L, -1))
    cdb__lua_fail(L, CDB_CONFIG, "config %s must return a table, and returned a %s", path,
                  luaL_typename(L, -1));
}

/* Returns the database of the config file whose path is the context. */
static int open_database(lua_State *L) {
  lua_getfield(L, CAPI_MODULE, "open");
  push_config(L, lua_touserdata(L, CAPI_CONTEXT));
  lua_call(L, 1, 1);
  return 1;
}

static int close_database(lua_State *L) {
  lua_getfield(L, CAPI_DATABASE, "close");
  lua_pushvalue(L, CAPI_DATABASE);
  lua_call(L, 1, 0);
  return 0;
}

int cdb_open(cdb **out, const char *config_path, cdb_error *err) {
  if (!out) return cdb__capi_fail(err, CDB_USAGE, "cdb_open needs a place for the router");
  *out = NULL;
  if (!config_path) return cdb__capi_fail(err, CDB_USAGE, "the config's path is a NULL pointer");
  cdb *db = calloc(1, sizeof *db);
  if (db) db->L = luaL_newstate();
  if (!db || !db->L) {
    free(db);
    return cdb__capi_fail(err, CDB_NOMEM, "no memory for a router");
  }
  int code = cdb__capi_protect(db, boot, NULL, 2, err);
  if (code == CDB_OK) code = cdb__capi_protect(db, open_database, (void *)config_path, 1, err);
  if (code == CDB_OK) {
    *out = db;
    return CDB_OK;
  }
  lua_close(db->L);
  free(db);
  return code;
}

void cdb_close(cdb *db) {
  if (!db) return;
  cdb__capi_detach_rows(db);
  cdb__capi_protect(db, close_database, NULL, 0, NULL);
  lua_close(db->L);
  free(db);
}
