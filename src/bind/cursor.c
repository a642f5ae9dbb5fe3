/* Rows one at a time: the iterator behind `each`. A cursor holds its statement
 * from the first step to the end of the loop; closing the shard ends it. */
#include "bind/bind.h"

static int next_row(lua_State *L);

static void unlink_cursor(cdb__lua_cursor *cursor) {
  *cursor->link = cursor->next;
  if (cursor->next) cursor->next->link = cursor->link;
}

void cdb__lua_cursor_end(cdb__lua_cursor *cursor, cdb__fault *fault) {
  cdb__lua_cursor *held = cursor->held;
  cursor->held = NULL;
  if (held) cdb__lua_cursor_end(held, fault);
  fault->code = CDB_OK;
  if (!cursor->stmt) return;
  cdb__stmt *stmt = cursor->stmt;
  cursor->stmt = NULL;
  unlink_cursor(cursor);
  cdb__reset(stmt, fault);
  cdb__lua_note_schema(cursor->shard, stmt);
  cdb__stmt_give(stmt);
}

/* core.hold(cursor, other): the cursor keeps the other one open until its own end. */
static int hold(lua_State *L) {
  cdb__lua_cursor *cursor = luaL_checkudata(L, 1, CDB__CURSOR_CLASS);
  cdb__lua_cursor *other = luaL_checkudata(L, 2, CDB__CURSOR_CLASS);
  lua_settop(L, 2);
  lua_setiuservalue(L, 1, 3);
  cursor->held = other;
  return 0;
}

/* Pushes a copy of the params table (or what else stands there); returns its index. */
static int copy_params(lua_State *L, int params) {
  if (lua_type(L, params) != LUA_TTABLE) {
    lua_pushvalue(L, params);
    return lua_gettop(L);
  }
  lua_newtable(L);
  for (lua_pushnil(L); lua_next(L, params);) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -4);
  }
  return lua_gettop(L);
}

void cdb__lua_cursors_end(cdb__lua_shard *shard, int depth) {
  cdb__fault ignored;
  for (cdb__lua_cursor *cursor = shard->cursors, *next; cursor; cursor = next) {
    next = cursor->next;
    if (cursor->tx_depth >= depth) cdb__lua_cursor_end(cursor, &ignored);
  }
}

int cdb__lua_each(lua_State *L, cdb__lua_shard *shard, int shard_index, const cdb__lua_call *call) {
  lua_pushcfunction(L, next_row);
  cdb__lua_cursor *cursor = lua_newuserdatauv(L, sizeof *cursor, 3);
  *cursor = (cdb__lua_cursor){.shard = shard, .tx_depth = shard->tx_depth, .inner = call->inner};
  luaL_setmetatable(L, CDB__CURSOR_CLASS);
  lua_pushvalue(L, shard_index);
  lua_setiuservalue(L, -2, 1);
  /* The loop may change its params table; SQLite reads the values until the end. */
  cdb__lua_call own = *call;
  own.params = copy_params(L, call->params);
  lua_pushvalue(L, own.params);
  lua_setiuservalue(L, own.params - 1, 2);
  cdb__stmt *stmt = cdb__lua_begin(L, shard, &own, CDB__FRAME);
  lua_settop(L, own.params - 1);
  stmt->wanted = CDB__WANT_PAGES;
  cdb__lua_meter_pass(shard, stmt, &own); /* what the caller does between the rows is not the statement's */
  /* From here on the cursor owns the statement, not the list of running calls. */
  shard->running = stmt->running_next;
  cursor->stmt = stmt;
  cursor->link = &shard->cursors;
  cursor->next = shard->cursors;
  if (cursor->next) cursor->next->link = &cursor->next;
  shard->cursors = cursor;
  lua_pushnil(L);
  lua_pushvalue(L, -2);
  return 4;
}

static int fail(lua_State *L, const cdb__lua_cursor *cursor, const cdb__fault *fault) {
  const cdb__lua_call call = {.inner = cursor->inner};
  return cdb__lua_fail_on(L, cursor->shard, fault, &call);
}

/* After the last step. */
static void end_of_rows(lua_State *L, cdb__lua_cursor *cursor, int code, cdb__fault *fault) {
  cdb__fault ignored;
  cdb__lua_cursor_end(cursor, code < 0 ? &ignored : fault);
  cursor->ended = 1;
  if (fault->code != CDB_OK) fail(L, cursor, fault);
}

bool cdb__lua_each_start(lua_State *L) {
  cdb__lua_cursor *cursor = luaL_checkudata(L, -1, CDB__CURSOR_CLASS);
  cdb__fault fault;
  const int code = cdb__step(cursor->stmt, &fault);
  cursor->ahead = code == CDB__ROW;
  if (!cursor->ahead) end_of_rows(L, cursor, code, &fault);
  return cursor->ahead;
}

static int next_row(lua_State *L) {
  cdb__lua_cursor *cursor = luaL_checkudata(L, 1, CDB__CURSOR_CLASS);
  if (cursor->ended) return 0;
  if (!cursor->stmt)
    return cdb__lua_fail(L, CDB_CLOSED,
                         "the database was closed, or the transaction ended, inside a loop over %s",
                         cursor->shard->name);
  cdb__fault fault;
  cdb__lua_shard *shard = cursor->shard;
  const uintptr_t outer = shard->stepping > CDB__FRAME ? shard->stepping : 0;
  shard->stepping = CDB__FRAME;
  const int code = cursor->ahead ? CDB__ROW : cdb__step(cursor->stmt, &fault);
  cursor->ahead = false;
  if (code == CDB__ROW) {
    cdb__lua_push_names(L, cursor->stmt);
    cdb__lua_push_row(L, cursor->stmt, -2, &cdb__lua_no_key);
  }
  shard->stepping = outer;
  cdb__lua_settle_shard(shard, CDB__FRAME);
  if (code == CDB__ROW) return 1;
  end_of_rows(L, cursor, code, &fault);
  lua_pushnil(L);
  return 1;
}

static int close_cursor(lua_State *L) {
  cdb__lua_cursor *cursor = luaL_checkudata(L, 1, CDB__CURSOR_CLASS);
  cdb__fault fault;
  cdb__lua_cursor_end(cursor, &fault);
  cursor->ended = 1;
  if (fault.code != CDB_OK && lua_isnoneornil(L, 2)) return fail(L, cursor, &fault);
  return 0;
}

static int collect_cursor(lua_State *L) {
  cdb__fault ignored;
  cdb__lua_cursor_end(luaL_checkudata(L, 1, CDB__CURSOR_CLASS), &ignored);
  return 0;
}

void cdb__lua_open_cursor(lua_State *L) {
  static const luaL_Reg methods[] = {{"__close", close_cursor}, {"__gc", collect_cursor}, {NULL, NULL}};
  luaL_newmetatable(L, CDB__CURSOR_CLASS);
  luaL_setfuncs(L, methods, 0);
  lua_pop(L, 1);
  lua_pushcfunction(L, hold);
  lua_setfield(L, -2, "hold");
}
