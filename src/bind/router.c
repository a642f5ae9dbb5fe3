/* The router as an object: made, asked and closed by Lua (lua/collegedb/instance.lua, state.lua). The calls
 * that it routes are in route.c. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bind/bind.h"

static int64_t stand_still(void *context) { return *(const int64_t *)context; }

/* core.router(state, shards, resolve, describe, options) */
static int new_router(lua_State *L) {
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checktype(L, 5, LUA_TTABLE);
  const int count = (int)lua_rawlen(L, 2);
  cdb__lua_db *db = lua_newuserdatauv(L, sizeof *db, 7);
  memset(db, 0, sizeof *db);
  db->watch = (cdb__watch){.opened = time(NULL), .log = -1, .file = -1};
  db->magic = &cdb__lua_db_magic;
  luaL_setmetatable(L, CDB__DB_CLASS);
  for (int i = 1; i <= 4; i++) {
    lua_pushvalue(L, i);
    lua_setiuservalue(L, -2, i);
  }
  lua_getfield(L, 5, "moved");
  lua_setiuservalue(L, -2, 6);
  lua_createtable(L, CDB__TEXTS, 0);
  lua_setiuservalue(L, -2, 7);
  db->check_keys = cdb__lua_boolean_field(L, 5, "check_keys");
  db->strict = cdb__lua_boolean_field(L, 5, "strict");
  db->careful = db->check_keys || db->strict;
  db->seed = cdb__random_seed();
  db->clock = cdb__clock_system();
  db->watch.slow_ns = cdb__lua_integer_field(L, 5, "slow_ns", 0);
  db->life_ms = cdb__lua_integer_field(L, 5, "life_ms", 0);
  db->global = cdb__keyspace_make("", 0, db->seed);
  db->catalog = 1;
  db->shards = calloc((size_t)count + 1, sizeof *db->shards);
  db->cache = cdb__cache_new((uint64_t)cdb__lua_integer_field(L, 5, "cache_size", 0));
  if (!db->shards || !db->cache) return cdb__lua_fail(L, CDB_NOMEM, "no memory for the mapping cache");
  for (int i = 0; i < count; i++) {
    lua_rawgeti(L, 2, i + 1);
    db->shards[i] = cdb__lua_check_shard(L, -1);
    db->shards[i]->db = db;
    db->shard_count = i + 1;
    if (!cdb__lua_meter_begin(db->shards[i])) return cdb__lua_fail(L, CDB_NOMEM, "no memory to count");
    db->careful = db->careful || db->shards[i]->handle->replicas;
    lua_pop(L, 1);
  }
  atomic_store(&db->open, CDB__DB_OPEN);
  return 1;
}

static void free_router(cdb__lua_db *db) {
  atomic_store(&db->open, CDB__DB_CLOSED);
  cdb__lua_background_end(db);
  cdb__lua_plans_free(db);
  cdb__cache_free(db->cache);
  db->cache = NULL;
  cdb__lua_statistics_end(db);
  for (int i = 0; i < db->shard_count; i++) {
    if (db->shards[i]->db != db) continue;
    db->shards[i]->db = NULL;
    cdb__lua_meter_end(db->shards[i]);
  }
  db->shard_count = 0;
  free(db->shards);
  db->shards = NULL;
  cdb__lua_check_tables_free(db);
  cdb__lua_homes_free(db);
}

/* core.close_router(db), and __gc: frees what is C's; the Lua state is returned, whose shards Lua closes. */
static int close_router(lua_State *L) {
  free_router(luaL_checkudata(L, 1, CDB__DB_CLASS));
  lua_getiuservalue(L, 1, 1);
  return 1;
}

/* core.state(db): the Lua state of an open database. */
static int get_state(lua_State *L) {
  cdb__lua_check_db(L, 1);
  lua_getiuservalue(L, 1, 1);
  return 1;
}

static int is_open(lua_State *L) {
  const cdb__lua_db *db = cdb__lua_test_db(L, 1);
  lua_pushboolean(L, db && db->open);
  return 1;
}

static int flush_cache(lua_State *L) {
  cdb__cache_clear(cdb__lua_check_db(L, 1)->cache);
  return 0;
}

/* core.add_shard(db, shard): one more, behind the others. */
static int add_shard(lua_State *L) {
  cdb__lua_db *db = cdb__lua_check_db(L, 1);
  cdb__lua_shard *shard = cdb__lua_check_shard(L, 2);
  lua_getiuservalue(L, 1, 2);
  lua_pushvalue(L, 2);
  lua_rawseti(L, -2, db->shard_count + 1);
  cdb__lua_shard **more = realloc(db->shards, ((size_t)db->shard_count + 2) * sizeof(cdb__lua_shard *));
  if (!more) return cdb__lua_fail(L, CDB_NOMEM, "no memory for a shard");
  db->shards = more;
  if (!cdb__lua_meter_begin(shard)) return cdb__lua_fail(L, CDB_NOMEM, "no memory to count");
  db->shards[db->shard_count++] = shard;
  shard->db = db;
  return 0;
}

/* core.no_fence(db, index): no key has left the shard, as its schema is now. */
static int no_fence(lua_State *L) {
  const cdb__lua_db *db = cdb__lua_check_db(L, 1);
  const lua_Integer index = luaL_checkinteger(L, 2) - 1;
  if (index >= 0 && index < db->shard_count) db->shards[index]->fence = false;
  return 0;
}

/* core.remember(db, keyspace, text, index): keeps in the cache where a key is now. */
static int remember(lua_State *L) {
  cdb__lua_db *db = cdb__lua_check_db(L, 1);
  size_t space_size, size;
  const char *name = luaL_checklstring(L, 2, &space_size), *text = luaL_checklstring(L, 3, &size);
  const lua_Integer index = luaL_checkinteger(L, 4) - 1;
  const cdb__keyspace space = cdb__keyspace_make(name, space_size, db->seed);
  cdb__key key;
  cdb__key_text(&key, &space, text, size);
  if (index >= 0 && index < db->shard_count)
    cdb__lua_keep(db, cdb__key_cache_hash(&key), (int)index, CDB__FOLLOWED);
  return 0;
}

/* core.forget(db, keyspace, text): drops one mapping from the cache. */
static int forget(lua_State *L) {
  cdb__lua_db *db = cdb__lua_check_db(L, 1);
  size_t space_size, size;
  const char *name = luaL_checklstring(L, 2, &space_size), *text = luaL_checklstring(L, 3, &size);
  const cdb__keyspace space = cdb__keyspace_make(name, space_size, db->seed);
  cdb__key key;
  cdb__key_text(&key, &space, text, size);
  cdb__cache_drop(db->cache, cdb__key_cache_hash(&key));
  return 0;
}

static int cache_stats(lua_State *L) {
  const cdb__cache_stats stats = cdb__cache_get_stats(cdb__lua_check_db(L, 1)->cache);
  lua_createtable(L, 0, 5);
  cdb__lua_set_integer(L, "entries", (int64_t)stats.entries);
  cdb__lua_set_integer(L, "bytes", (int64_t)stats.bytes);
  cdb__lua_set_integer(L, "hits", (int64_t)stats.hits);
  cdb__lua_set_integer(L, "misses", (int64_t)stats.misses);
  cdb__lua_set_integer(L, "evictions", (int64_t)stats.evictions);
  return 1;
}

/* core.catalog_changed(db, text_members, fold, either): plans ask describe again, and what a key was taken
 * for is forgotten. */
static int catalog_changed(lua_State *L) {
  cdb__lua_db *db = cdb__lua_check_db(L, 1);
  db->catalog++;
  db->text_members = lua_toboolean(L, 2);
  db->fold = lua_toboolean(L, 3);
  db->either = lua_toboolean(L, 4);
  cdb__cache_clear(db->cache);
  return 0;
}

static int catalog_version(lua_State *L) {
  lua_pushinteger(L, cdb__lua_check_db(L, 1)->catalog);
  return 1;
}

/* core.set_clock(db, ms or nil): a clock that stands at ms, or the system's; for tests. */
static int set_clock(lua_State *L) {
  cdb__lua_db *db = cdb__lua_check_db(L, 1);
  if (lua_isnoneornil(L, 2)) {
    db->clock = cdb__clock_system();
  } else {
    db->fixed_now = (int64_t)luaL_checkinteger(L, 2);
    db->clock = (cdb__clock){stand_still, &db->fixed_now};
  }
  lua_pushinteger(L, cdb__clock_now(&db->clock));
  return 1;
}

/* Adds to the class that cdb__lua_open_route makes, and to the table of functions on top. */
void cdb__lua_open_router(lua_State *L) {
  static const luaL_Reg functions[] = {{"router", new_router},
                                       {"close_router", close_router},
                                       {"state", get_state},
                                       {"is_open", is_open},
                                       {"add_shard", add_shard},
                                       {"forget", forget},
                                       {"no_fence", no_fence},
                                       {"remember", remember},
                                       {"cache_stats", cache_stats},
                                       {"catalog_changed", catalog_changed},
                                       {"catalog_version", catalog_version},
                                       {"set_clock", set_clock},
                                       {NULL, NULL}};
  luaL_getmetatable(L, CDB__DB_CLASS);
  lua_pushcfunction(L, close_router);
  lua_setfield(L, -2, "__gc");
  lua_getfield(L, -1, "__index");
  lua_pushcfunction(L, flush_cache);
  lua_setfield(L, -2, "flush_cache");
  lua_pop(L, 2);
  luaL_setfuncs(L, functions, 0);
}
