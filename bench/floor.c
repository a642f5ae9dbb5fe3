/* The floor of the benchmarks: what a program in C would do that knows its one
 * file and its one statement, and hands Lua the same values.
 *
 * A statement is a C closure: upvalue 1 is the statement, upvalue 2 its
 * connection (kept alive so), 3 and on the column names as Lua strings. It
 * takes the same array of parameters as ours. Nothing is looked up, cached or
 * checked beyond SQLite's own codes. The connection is opened with the flags
 * and settings of src/shard/sqlite.c. */
#include "floor.h"

#include <lauxlib.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <valgrind/callgrind.h>

#define CONNECTION "bench.connection"
#define STATEMENT "bench.statement"

enum { CONNECTION_UP = 2, NAMES_UP = 3, NAMES_MAX = 32, SPAWN_MAX = 8 };

static int fail(lua_State *L, sqlite3 *db) { return luaL_error(L, "the floor: %s", sqlite3_errmsg(db)); }

sqlite3 *bench_connection(lua_State *L, int arg) {
  sqlite3 **db = luaL_checkudata(L, arg, CONNECTION);
  luaL_argcheck(L, *db, arg, "the connection was closed");
  return *db;
}

/* --- arguments and rows ----------------------------------------------------- */

/* Binds the Lua value at `index` of the stack as parameter `i`. */
static void bind(lua_State *L, sqlite3_stmt *stmt, int index, int i) {
  size_t size;
  const char *text;
  switch (lua_type(L, index)) {
    case LUA_TSTRING:
      text = lua_tolstring(L, index, &size);
      sqlite3_bind_text64(stmt, i, text, size, SQLITE_STATIC, SQLITE_UTF8);
      return;
    case LUA_TNUMBER:
      if (lua_isinteger(L, index)) sqlite3_bind_int64(stmt, i, lua_tointeger(L, index));
      else sqlite3_bind_double(stmt, i, lua_tonumber(L, index));
      return;
    default: sqlite3_bind_null(stmt, i);
  }
}

/* From the array that the caller makes for ours too; it keeps the strings alive. */
static void bind_array(lua_State *L, sqlite3_stmt *stmt) {
  const int count = sqlite3_bind_parameter_count(stmt);
  for (int i = 1; i <= count; i++) {
    lua_rawgeti(L, 1, i);
    bind(L, stmt, -1, i);
    lua_settop(L, 1);
  }
}

/* As src/shard/sqlite.c reads a column: one look at it, the rest on the value. */
static void push_value(lua_State *L, sqlite3_stmt *stmt, int column) {
  sqlite3_value *value = sqlite3_column_value(stmt, column);
  switch (sqlite3_value_type(value)) {
    case SQLITE_INTEGER: lua_pushinteger(L, sqlite3_value_int64(value)); return;
    case SQLITE_FLOAT: lua_pushnumber(L, sqlite3_value_double(value)); return;
    case SQLITE_NULL: lua_pushnil(L); return;
    default: {
      const char *data = sqlite3_value_blob(value);
      lua_pushlstring(L, data ? data : "", (size_t)sqlite3_value_bytes(value));
    }
  }
}

static void push_row(lua_State *L, sqlite3_stmt *stmt) {
  const int columns = sqlite3_column_count(stmt);
  lua_createtable(L, 0, columns);
  for (int i = 0; i < columns; i++) {
    lua_pushvalue(L, lua_upvalueindex(NAMES_UP + i));
    push_value(L, stmt, i);
    lua_rawset(L, -3);
  }
}

static sqlite3_stmt *statement(lua_State *L) {
  return *(sqlite3_stmt **)lua_touserdata(L, lua_upvalueindex(1));
}

static int step_first(lua_State *L, sqlite3_stmt *stmt) {
  if (sqlite3_step(stmt) == SQLITE_ROW) push_row(L, stmt);
  else lua_pushnil(L);
  if (sqlite3_reset(stmt) != SQLITE_OK) return fail(L, sqlite3_db_handle(stmt));
  return 1;
}

/* first { key }: the row, or nil. */
static int first(lua_State *L) {
  sqlite3_stmt *stmt = statement(L);
  bind_array(L, stmt);
  return step_first(L, stmt);
}

/* bare(key): the same without the caller's table. */
static int bare(lua_State *L) {
  sqlite3_stmt *stmt = statement(L);
  bind(L, stmt, 1, 1);
  return step_first(L, stmt);
}

static int64_t ticks(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* write { value, … }: the number of rows changed. */
static int write_values(lua_State *L) {
  sqlite3_stmt *stmt = statement(L);
  sqlite3 *db = sqlite3_db_handle(stmt);
  bind_array(L, stmt);
  sqlite3_step(stmt);
  if (sqlite3_reset(stmt) != SQLITE_OK) return fail(L, db);
  lua_pushinteger(L, sqlite3_changes64(db));
  return 1;
}

/* run { value, … }: what db:run gives for a write, made the same way. */
static int run(lua_State *L) {
  sqlite3_stmt *stmt = statement(L);
  sqlite3 *db = sqlite3_db_handle(stmt);
  const int64_t start = ticks();
  bind_array(L, stmt);
  sqlite3_step(stmt);
  if (sqlite3_reset(stmt) != SQLITE_OK) return fail(L, db);
  lua_createtable(L, 0, 4);
  lua_pushboolean(L, 1);
  lua_setfield(L, -2, "success");
  lua_newtable(L);
  lua_setfield(L, -2, "results");
  lua_newtable(L);
  lua_setfield(L, -2, "columns");
  lua_createtable(L, 0, 4);
  lua_pushnumber(L, (double)(ticks() - start) / 1e6);
  lua_setfield(L, -2, "duration");
  lua_pushinteger(L, sqlite3_changes64(db));
  lua_setfield(L, -2, "changes");
  lua_pushinteger(L, sqlite3_last_insert_rowid(db));
  lua_setfield(L, -2, "last_row_id");
  lua_pushstring(L, "floor");
  lua_setfield(L, -2, "served_by");
  lua_setfield(L, -2, "meta");
  return 1;
}

/* --- connections and statements --------------------------------------------- */

/* floor.prepare(connection, sql, "first" | "bare" | "write" | "run"): a function. */
static int prepare(lua_State *L) {
  static const char *const kinds[] = {"first", "bare", "write", "run", NULL};
  static const lua_CFunction functions[] = {first, bare, write_values, run};
  sqlite3 *db = bench_connection(L, 1);
  const char *sql = luaL_checkstring(L, 2);
  const lua_CFunction function = functions[luaL_checkoption(L, 3, NULL, kinds)];
  sqlite3_stmt **stmt = lua_newuserdatauv(L, sizeof *stmt, 0);
  *stmt = NULL;
  luaL_setmetatable(L, STATEMENT);
  if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, stmt, NULL) != SQLITE_OK) return fail(L, db);
  const int columns = sqlite3_column_count(*stmt);
  if (columns > NAMES_MAX) return luaL_error(L, "the floor takes at most %d columns", NAMES_MAX);
  luaL_checkstack(L, columns + 2, NULL);
  lua_pushvalue(L, 1);
  for (int i = 0; i < columns; i++) lua_pushstring(L, sqlite3_column_name(*stmt, i));
  lua_pushcclosure(L, function, CONNECTION_UP + columns);
  return 1;
}

static int finalize(lua_State *L) {
  sqlite3_stmt **stmt = luaL_checkudata(L, 1, STATEMENT);
  sqlite3_finalize(*stmt);
  *stmt = NULL;
  return 0;
}

/* floor.open(path[, synchronous]): as a shard of ours is opened. */
static int open_connection(lua_State *L) {
  const char *path = luaL_checkstring(L, 1), *synchronous = luaL_optstring(L, 2, "FULL");
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  char sql[128];
  sqlite3 **db = lua_newuserdatauv(L, sizeof(sqlite3 *), 0);
  *db = NULL;
  luaL_setmetatable(L, CONNECTION);
  if (sqlite3_open_v2(path, db, flags, NULL) != SQLITE_OK) return fail(L, *db);
  sqlite3_extended_result_codes(*db, 1);
  sqlite3_busy_timeout(*db, 5000);
  sqlite3_db_config(*db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
  snprintf(sql, sizeof sql, "PRAGMA journal_mode = WAL; PRAGMA synchronous = %s; PRAGMA mmap_size = 0",
           synchronous);
  if (sqlite3_exec(*db, sql, NULL, NULL, NULL) != SQLITE_OK) return fail(L, *db);
  return 1;
}

static int exec(lua_State *L) {
  sqlite3 *db = bench_connection(L, 1);
  if (sqlite3_exec(db, luaL_checkstring(L, 2), NULL, NULL, NULL) != SQLITE_OK) return fail(L, db);
  return 0;
}

static int close_connection(lua_State *L) {
  sqlite3 **db = luaL_checkudata(L, 1, CONNECTION);
  sqlite3_close_v2(*db);
  *db = NULL;
  return 0;
}

/* floor.spawn(program, argument …): runs it to its end; the seconds that took. */
static int spawn(lua_State *L) {
  char *argv[SPAWN_MAX + 1] = {NULL};
  const int count = lua_gettop(L);
  luaL_argcheck(L, count >= 1 && count <= SPAWN_MAX, 1, "a program and a few arguments");
  for (int i = 0; i < count; i++) argv[i] = (char *)luaL_checkstring(L, i + 1);
  pid_t child;
  int status;
  const int64_t start = ticks();
  if (posix_spawnp(&child, argv[0], NULL, NULL, argv, environ) != 0)
    return luaL_error(L, "%s did not start", argv[0]);
  if (waitpid(child, &status, 0) != child || status != 0) return luaL_error(L, "%s failed", argv[0]);
  lua_pushnumber(L, (double)(ticks() - start) / 1e9);
  return 1;
}

/* floor.now(): seconds, for differences. */
static int now(lua_State *L) {
  lua_pushnumber(L, (double)ticks() / 1e9);
  return 1;
}

/* floor.counted(name, f): runs f; under callgrind its instructions are dumped under the name. */
static int counted(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  (void)name; /* the macros below are empty where valgrind is not */
  lua_settop(L, 2);
  CALLGRIND_START_INSTRUMENTATION;
  CALLGRIND_ZERO_STATS;
  lua_call(L, 0, 0);
  CALLGRIND_DUMP_STATS_AT(name);
  CALLGRIND_STOP_INSTRUMENTATION;
  return 0;
}

LUAMOD_API int luaopen_floor(lua_State *L);

int luaopen_floor(lua_State *L) {
  static const luaL_Reg functions[] = {{"open", open_connection},
                                       {"exec", exec},
                                       {"close", close_connection},
                                       {"prepare", prepare},
                                       {"integrate", bench_integrate},
                                       {"json", bench_json},
                                       {"processor", bench_processor},
                                       {"now", now},
                                       {"counted", counted},
                                       {"spawn", spawn},
                                       {NULL, NULL}};
  luaL_newmetatable(L, CONNECTION);
  lua_pushcfunction(L, close_connection);
  lua_setfield(L, -2, "__gc");
  luaL_newmetatable(L, STATEMENT);
  lua_pushcfunction(L, finalize);
  lua_setfield(L, -2, "__gc");
  luaL_newlib(L, functions);
  return 1;
}
