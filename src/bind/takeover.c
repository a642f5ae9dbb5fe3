/* core.takeover(plan): takes the keys of one key column into the
 * directory, a batch a step, so that the workflow in Lua can report progress and
 * stop in between. */
#include <stdlib.h>
#include <string.h>

#include "bind/takeover_plan.h"

#define TAKEOVER_CLASS "collegedb.takeover"

/* User value 1 is the plan's table: it keeps alive what the C plan points to.
 * Its shards may be closed between two steps, by a callback for one. */
typedef struct {
  cdb__takeover *handle;
  cdb__lua_takeover_plan read;
} takeover;

static takeover *check_takeover(lua_State *L, int arg) {
  takeover *t = luaL_checkudata(L, arg, TAKEOVER_CLASS);
  luaL_argcheck(L, t->handle, arg, "a takeover that was not made");
  return t;
}

static int new_takeover(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  takeover *t = lua_newuserdatauv(L, sizeof *t, 1);
  memset(t, 0, sizeof *t);
  luaL_setmetatable(L, TAKEOVER_CLASS);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  cdb__lua_takeover_plan_read(L, 1, &t->read);
  t->handle = cdb__takeover_new(&t->read.plan);
  if (!t->handle) return cdb__lua_fail(L, CDB_NOMEM, "no memory for a page of keys");
  return 1;
}

static int check_open(lua_State *L, const takeover *t) {
  for (size_t i = 0; i < t->read.shard_count; i++) {
    const cdb__lua_shard *shard = t->read.shards[i];
    if (!shard->handle) return cdb__lua_fail(L, CDB_CLOSED, "shard %s was closed meanwhile", shard->name);
  }
  return 0;
}

/* takeover:step(): true while more may follow; and true when others changed the epoch, so that nothing was
 * done. */
static int step(lua_State *L) {
  takeover *t = check_takeover(L, 1);
  cdb__fault fault;
  check_open(L, t);
  const int result = cdb__takeover_step(t->handle, &fault);
  if (result < 0) return cdb__lua_raise(L, &fault, NULL, NULL);
  lua_pushboolean(L, result == CDB__TAKEOVER_MORE || result == CDB__TAKEOVER_STALLED);
  lua_pushboolean(L, result == CDB__TAKEOVER_STALLED);
  lua_pushboolean(L, result == CDB__TAKEOVER_IDLE);
  return 3;
}

/* takeover:counts() */
static int counts(lua_State *L) {
  const cdb__takeover_counts *c = cdb__takeover_get_counts(check_takeover(L, 1)->handle);
  lua_createtable(L, 0, 6);
  cdb__lua_set_integer(L, "records", c->records);
  cdb__lua_set_integer(L, "created", c->created);
  cdb__lua_set_integer(L, "at_home", c->at_home);
  cdb__lua_set_integer(L, "known", c->known);
  cdb__lua_set_integer(L, "conflicts", c->conflicts);
  cdb__lua_set_integer(L, "unusable", c->unusable);
  return 1;
}

/* takeover:conflicts(most): { { key =, other = shard id }, … }, those of the last step. */
static int conflicts(lua_State *L) {
  const takeover *t = check_takeover(L, 1);
  const lua_Integer most = luaL_checkinteger(L, 2);
  size_t count = cdb__takeover_conflicts(t->handle);
  if (most < (lua_Integer)count) count = most > 0 ? (size_t)most : 0;
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    const char *key;
    size_t size;
    const int64_t other = cdb__takeover_conflict(t->handle, i, &key, &size);
    lua_createtable(L, 0, 2);
    lua_pushlstring(L, key, size);
    lua_setfield(L, -2, "key");
    cdb__lua_set_integer(L, "other", other);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

static int collect(lua_State *L) {
  takeover *t = luaL_checkudata(L, 1, TAKEOVER_CLASS);
  cdb__takeover_free(t->handle);
  t->handle = NULL;
  cdb__lua_takeover_plan_free(&t->read);
  return 0;
}

void cdb__lua_open_takeover(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"step", step}, {"counts", counts}, {"conflicts", conflicts}, {NULL, NULL}};
  luaL_newmetatable(L, TAKEOVER_CLASS);
  lua_pushcfunction(L, collect);
  lua_setfield(L, -2, "__gc");
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  lua_pushcfunction(L, new_takeover);
  lua_setfield(L, -2, "takeover");
}
