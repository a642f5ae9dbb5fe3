/* core.takeover(plan): takes one table's keys into the directory, a page a
 * step, so that the workflow in Lua can report progress and stop in between. */
#include <stdlib.h>
#include <string.h>

#include "bind/bind.h"
#include "directory/takeover.h"

#define TAKEOVER_CLASS "collegedb.takeover"

enum { CONFLICTS_KEPT = 1000 };

typedef struct {
  char *key;
  size_t size;
  int64_t other;
} conflict;

/* User value 1 is the plan's table: it keeps alive what the C plan points to.
 * Its shards may be closed between two steps, by a callback for one. */
typedef struct {
  cdb__takeover *handle;
  cdb__lua_shard **shards;
  size_t shard_count;
  cdb__node *nodes;
  cdb__takeover_place *homes, *others;
  size_t conflict_count;
  conflict conflicts[CONFLICTS_KEPT];
} takeover;

static void keep_conflict(void *context, const char *key, size_t size, int64_t other) {
  takeover *t = context;
  if (t->conflict_count == CONFLICTS_KEPT) return;
  char *copy = malloc(size + 1);
  if (!copy) return; /* the exact count is kept elsewhere */
  memcpy(copy, key, size);
  t->conflicts[t->conflict_count++] = (conflict){copy, size, other};
}

/* The shard in a field, or NULL when there is none; remembered in t. */
static cdb__shard *shard_field(lua_State *L, takeover *t, int table, const char *name) {
  lua_getfield(L, table, name);
  if (lua_isnil(L, -1)) return lua_pop(L, 1), NULL;
  cdb__lua_shard *shard = cdb__lua_check_shard(L, -1);
  cdb__lua_shard **grown = realloc(t->shards, (t->shard_count + 1) * sizeof *grown);
  if (!grown) cdb__lua_fail(L, CDB_NOMEM, "no memory for a takeover");
  t->shards = grown;
  t->shards[t->shard_count++] = shard;
  lua_pop(L, 1);
  return shard->handle;
}

/* Reads { id, shard or nil, probe or nil } from the table on top. */
static cdb__takeover_place read_place(lua_State *L, takeover *t) {
  size_t size;
  const int table = lua_gettop(L);
  return (cdb__takeover_place){.shard_id = cdb__lua_integer_field(L, table, "id", 0),
                               .shard = shard_field(L, t, table, "shard"),
                               .probe = cdb__lua_text_field(L, table, "probe", &size)};
}

/* homes = { { name, weight, id, shard, probe }, … } */
static size_t read_homes(lua_State *L, takeover *t, int plan) {
  lua_getfield(L, plan, "homes");
  const size_t count = lua_istable(L, -1) ? lua_rawlen(L, -1) : 0;
  t->nodes = calloc(count + 1, sizeof *t->nodes);
  t->homes = calloc(count + 1, sizeof *t->homes);
  if (!t->nodes || !t->homes) cdb__lua_fail(L, CDB_NOMEM, "no memory for a placement");
  for (size_t i = 0; i < count; i++) {
    size_t size = 0;
    lua_rawgeti(L, -1, (lua_Integer)i + 1);
    const char *name = cdb__lua_text_field(L, lua_gettop(L), "name", &size);
    lua_getfield(L, -1, "weight");
    t->nodes[i] = (cdb__node){cdb__node_seed(name, size), lua_tonumber(L, -1)};
    lua_pop(L, 1);
    t->homes[i] = read_place(L, t);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return count;
}

/* others = { { id, shard, probe }, … } */
static size_t read_others(lua_State *L, takeover *t, int plan) {
  lua_getfield(L, plan, "others");
  const size_t count = lua_istable(L, -1) ? lua_rawlen(L, -1) : 0;
  t->others = calloc(count + 1, sizeof *t->others);
  if (!t->others) cdb__lua_fail(L, CDB_NOMEM, "no memory for a placement");
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, -1, (lua_Integer)i + 1);
    t->others[i] = read_place(L, t);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return count;
}

static int new_takeover(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  takeover *t = lua_newuserdatauv(L, sizeof *t, 1);
  memset(t, 0, offsetof(takeover, conflicts));
  luaL_setmetatable(L, TAKEOVER_CLASS);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  size_t size = 0, space_size = 0;
  const char *space = cdb__lua_text_field(L, 1, "keyspace", &space_size);
  cdb__takeover_plan plan = {
      .source = shard_field(L, t, 1, "source"),
      .first_page = cdb__lua_text_field(L, 1, "first_page", &size),
      .next_page = cdb__lua_text_field(L, 1, "next_page", &size),
      .space = cdb__keyspace_make(space, space_size, 0),
      .integer = cdb__lua_boolean_field(L, 1, "integer"),
      .fold = cdb__lua_boolean_field(L, 1, "fold"),
      .directory = shard_field(L, t, 1, "directory"),
      .shard_id = cdb__lua_integer_field(L, 1, "shard_id", 0),
      .epoch = cdb__lua_integer_field(L, 1, "epoch", 0),
      .dry_run = cdb__lua_boolean_field(L, 1, "dry_run"),
      .page = (size_t)cdb__lua_integer_field(L, 1, "page", 0),
  };
  plan.secret = cdb__lua_text_field(L, 1, "secret", &plan.secret_size);
  plan.home_count = read_homes(L, t, 1);
  plan.nodes = t->nodes;
  plan.homes = t->homes;
  plan.other_count = read_others(L, t, 1);
  plan.others = t->others;
  t->handle = cdb__takeover_new(&plan, keep_conflict, t);
  if (!t->handle) return cdb__lua_fail(L, CDB_NOMEM, "no memory for a page of keys");
  return 1;
}

/* takeover:step(): true while more may follow. */
static int step(lua_State *L) {
  takeover *t = luaL_checkudata(L, 1, TAKEOVER_CLASS);
  cdb__fault fault;
  for (size_t i = 0; i < t->shard_count; i++)
    if (!t->shards[i]->handle)
      return cdb__lua_fail(L, CDB_CLOSED, "shard %s was closed meanwhile", t->shards[i]->name);
  const int more = cdb__takeover_step(t->handle, &fault);
  if (more < 0) return cdb__lua_raise(L, &fault, NULL, NULL);
  lua_pushboolean(L, more);
  return 1;
}

/* takeover:counts() */
static int counts(lua_State *L) {
  const takeover *t = luaL_checkudata(L, 1, TAKEOVER_CLASS);
  const cdb__takeover_counts *c = cdb__takeover_get_counts(t->handle);
  lua_createtable(L, 0, 6);
  cdb__lua_set_integer(L, "records", c->records);
  cdb__lua_set_integer(L, "created", c->created);
  cdb__lua_set_integer(L, "at_home", c->at_home);
  cdb__lua_set_integer(L, "known", c->known);
  cdb__lua_set_integer(L, "conflicts", c->conflicts);
  cdb__lua_set_integer(L, "unusable", c->unusable);
  return 1;
}

/* takeover:conflicts(): { { key =, other = shard id }, … }, the first thousand. */
static int conflicts(lua_State *L) {
  const takeover *t = luaL_checkudata(L, 1, TAKEOVER_CLASS);
  lua_createtable(L, (int)t->conflict_count, 0);
  for (size_t i = 0; i < t->conflict_count; i++) {
    lua_createtable(L, 0, 2);
    lua_pushlstring(L, t->conflicts[i].key, t->conflicts[i].size);
    lua_setfield(L, -2, "key");
    lua_pushinteger(L, t->conflicts[i].other);
    lua_setfield(L, -2, "other");
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

static int collect(lua_State *L) {
  takeover *t = luaL_checkudata(L, 1, TAKEOVER_CLASS);
  cdb__takeover_free(t->handle);
  t->handle = NULL;
  for (size_t i = 0; i < t->conflict_count; i++) free(t->conflicts[i].key);
  t->conflict_count = 0;
  free(t->nodes);
  free(t->homes);
  free(t->others);
  free(t->shards);
  t->shards = NULL;
  t->shard_count = 0;
  t->nodes = NULL;
  t->homes = t->others = NULL;
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
