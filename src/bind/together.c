/* core.together: statements on several shards, whose requests overlap where
 * shards are far away. Those on files run one after the other. */
#include <stdlib.h>

#include "bind/bind.h"

enum { FIRST, ALL, RUN, BATCH };

typedef struct {
  cdb__lua_call call;
  cdb__lua_shard *shard;
  cdb__stmt *stmt; /* NULL: it could not be begun, and the error stands in its place */
  bool later;      /* an earlier call is of the same shard: it is begun when that has ended */
} started;

typedef struct {
  started *list;
  size_t count;
  int method;
  int64_t start;
  uintptr_t frame; /* of the call that outlives all statements */
} work;

/* One call of the list at 2: begins its statement. Arguments: the work, its position. */
static int begin_one(lua_State *L) {
  const work *w = lua_touserdata(L, 1);
  started *each = &w->list[lua_tointeger(L, 3)];
  int ignored;
  lua_rawgeti(L, 2, lua_tointeger(L, 3) + 1); /* 4 */
  luaL_checktype(L, 4, LUA_TTABLE);
  for (int i = 1; i <= 3; i++) lua_rawgeti(L, 4, i); /* 5: shard, 6: sql, 7: params */
  each->shard = cdb__lua_shard_of(L, 5, &ignored);
  each->call = (cdb__lua_call){.params = 7, .inner = cdb__lua_is_inner(L, 5, each->shard)};
  each->call.sql = cdb__lua_check_string(L, 6, "the SQL text", &each->call.size);
  each->call.hash = cdb__sql_hash(each->call.sql, each->call.size);
  each->shard->handle->routed = false;
  for (lua_Integer i = 0; w->method != BATCH && i < lua_tointeger(L, 3); i++)
    each->later = each->later || w->list[i].shard == each->shard;
  if (each->later) return 0;
  const bool beside = w->method == BATCH && lua_tointeger(L, 3) > 0;
  each->stmt = (beside ? cdb__lua_begin_beside : cdb__lua_begin)(L, each->shard, &each->call, w->frame);
  each->stmt->wanted = w->method == FIRST ? CDB__WANT_FIRST
                       : w->method == ALL ? CDB__WANT_ALL
                                          : CDB__WANT_RESULT;
  return 0;
}

static int finish_one(lua_State *L) {
  const work *w = lua_touserdata(L, 1);
  started *each = &w->list[lua_tointeger(L, 3)];
  if (each->later) {
    lua_rawgeti(L, 2, lua_tointeger(L, 3) + 1);
    lua_rawgeti(L, -1, 3);
    each->call.params = lua_gettop(L);
    cdb__lua_check_open(L, each->shard); /* a finalizer or hook may have closed it meanwhile */
    each->stmt = cdb__lua_begin(L, each->shard, &each->call, CDB__FRAME);
  }
  const bool asked = each->stmt->shard->ops->fetch; /* together, since the beginning */
  if (each->stmt->started && !asked) each->stmt->started = cdb__clock_ticks();
  if (w->method == FIRST) return cdb__lua_finish_first(L, each->shard, &each->call, each->stmt);
  if (w->method == ALL) return cdb__lua_finish_all(L, each->shard, &each->call, each->stmt);
  const int64_t start = asked ? w->start : cdb__clock_ticks();
  return cdb__lua_finish_run(L, each->shard, &each->call, each->stmt, start);
}

/* Calls the function for one of the calls; its result, or the error, is on top. */
static bool protect(lua_State *L, lua_CFunction f, work *w, size_t i, int results) {
  lua_pushcfunction(L, f);
  lua_pushlightuserdata(L, w);
  lua_pushvalue(L, 1);
  lua_pushinteger(L, (lua_Integer)i);
  return lua_pcall(L, 3, results, 0) == LUA_OK;
}

static void fetch(lua_State *L, const work *w) {
  cdb__stmt **stmts = lua_newuserdatauv(L, (w->count + 1) * sizeof *stmts, 0);
  void (*ask)(cdb__stmt **, size_t) = NULL;
  size_t count = 0;
  for (size_t i = 0; i < w->count; i++) {
    if (!w->list[i].stmt || !w->list[i].stmt->shard->ops->fetch) continue;
    ask = w->list[i].stmt->shard->ops->fetch;
    stmts[count++] = w->list[i].stmt;
  }
  if (count) ask(stmts, count);
  lua_pop(L, 1);
}

/* All or none of them; where one could not be begun, none. */
static void run_batch(lua_State *L, const work *w) {
  cdb__stmt **stmts = lua_newuserdatauv(L, (w->count + 1) * sizeof *stmts, 0);
  for (size_t i = 0; i < w->count; i++) {
    if (!w->list[i].stmt || w->list[i].shard != w->list[0].shard) {
      for (size_t k = 0; k < w->count; k++)
        if (w->list[k].stmt) cdb__lua_end_left(w->list[k].shard, w->list[k].stmt);
      for (size_t k = 0; k < w->count; k++) w->list[k].stmt = NULL;
      lua_pop(L, 1);
      return;
    }
    stmts[i] = w->list[i].stmt;
  }
  if (w->count) w->list[0].shard->handle->ops->batch(stmts, w->count);
  lua_pop(L, 1);
}

/* core.together({ { shard, sql, params }, … }, "first" | "all" | "run" | "batch"): an array of results, where
 * a call has failed or gives nil false; and the errors, by position. "batch" is "run" for one shard that has
 * batches: all of them are done or none. */
static int together(lua_State *L) {
  static const char *const methods[] = {"first", "all", "run", "batch", NULL};
  luaL_checktype(L, 1, LUA_TTABLE);
  work w = {
      .method = luaL_checkoption(L, 2, NULL, methods), .start = cdb__clock_ticks(), .frame = CDB__FRAME};
  w.count = lua_rawlen(L, 1);
  lua_settop(L, 2);
  w.list = lua_newuserdatauv(L, (w.count + 1) * sizeof *w.list, 0); /* 3 */
  memset(w.list, 0, (w.count + 1) * sizeof *w.list);
  lua_createtable(L, (int)w.count, 0); /* 4: results */
  lua_newtable(L);                     /* 5: errors */
  for (size_t i = 0; i < w.count; i++)
    if (!protect(L, begin_one, &w, i, 0)) lua_rawseti(L, 5, (lua_Integer)i + 1);
  if (w.method == BATCH) run_batch(L, &w);
  else fetch(L, &w);
  for (size_t i = 0; i < w.count; i++) {
    const bool begun = w.list[i].stmt || w.list[i].later, done = begun && protect(L, finish_one, &w, i, 1);
    if (begun && !done) {
      lua_rawseti(L, 5, (lua_Integer)i + 1);
      cdb__lua_end_left(w.list[i].shard, w.list[i].stmt);
    }
    if (!done || lua_isnil(L, -1)) lua_pushboolean(L, 0);
    lua_rawseti(L, 4, (lua_Integer)i + 1);
    lua_settop(L, 5);
  }
  return 2;
}

void cdb__lua_open_together(lua_State *L) {
  lua_pushcfunction(L, together);
  lua_setfield(L, -2, "together");
}
