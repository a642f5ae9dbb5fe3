/* The counts of a router as a Lua table, and its slow statements. */
#include "bind/statistics.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- taking ------------------------------------------------------------------ */

void cdb__statistics_take_head(const cdb__lua_db *db, cdb__statistics *out) {
  const cdb__cache_stats cache = cdb__cache_get_stats(db->cache);
  memset(out, 0, sizeof *out);
  out->shard_size = sizeof(cdb__statistics_shard);
  out->shard_count = (uint64_t)db->shard_count;
  out->pid = getpid();
  out->opened = db->watch.opened;
  out->hits = cache.hits, out->misses = cache.misses, out->evictions = cache.evictions;
  out->entries = cache.entries, out->capacity = cache.capacity, out->bytes = cache.bytes;
}

void cdb__statistics_take_shard(const cdb__lua_shard *shard, cdb__statistics_shard *out) {
  out->counts = shard->meter->counts;
  memcpy(out->counts.statements, shard->statements, sizeof out->counts.statements);
}

cdb__statistics *cdb__statistics_take(const cdb__lua_db *db) {
  cdb__statistics *head = calloc(1, cdb__statistics_size((size_t)db->shard_count));
  if (!head) return NULL;
  cdb__statistics_take_head(db, head);
  for (int i = 0; i < db->shard_count; i++) cdb__statistics_take_shard(db->shards[i], &head->shards[i]);
  return head;
}

/* --- pushing ------------------------------------------------------------------ */

static void set_seconds(lua_State *L, const char *name, uint64_t ns) {
  lua_pushnumber(L, (lua_Number)ns / 1e9);
  lua_setfield(L, -2, name);
}

static void push_buckets(lua_State *L, const cdb__histogram *histogram) {
  lua_Integer n = 0;
  lua_newtable(L);
  for (int i = 0; i < CDB__HISTOGRAM_BUCKETS; i++) {
    if (!histogram->buckets[i]) continue;
    lua_createtable(L, 0, 3);
    set_seconds(L, "from", cdb__histogram_from(i));
    if (i + 1 < CDB__HISTOGRAM_BUCKETS) set_seconds(L, "to", cdb__histogram_from(i + 1));
    else set_seconds(L, "to", histogram->max_ns);
    cdb__lua_set_integer(L, "count", (int64_t)histogram->buckets[i]);
    lua_rawseti(L, -2, ++n);
  }
}

static void set_histogram(lua_State *L, const char *name, const cdb__histogram *histogram) {
  lua_createtable(L, 0, 7);
  cdb__lua_set_integer(L, "count", (int64_t)histogram->count);
  set_seconds(L, "sum", histogram->sum_ns);
  if (histogram->count) set_seconds(L, "max", histogram->max_ns);
  push_buckets(L, histogram);
  lua_setfield(L, -2, "buckets");
  lua_setfield(L, -2, name);
}

static void push_errors(lua_State *L, const cdb__meter_counts *counts, int64_t *total) {
  lua_newtable(L);
  *total = 0;
  for (int i = 1; i < CDB__METER_CODES; i++) {
    if (!counts->errors[i]) continue;
    cdb__lua_set_integer(L, cdb_code_name(-i), (int64_t)counts->errors[i]);
    *total += (int64_t)counts->errors[i];
  }
}

static void push_shard(lua_State *L, const cdb__meter_counts *counts) {
  int64_t errors;
  lua_createtable(L, 0, 9);
  lua_pushlstring(L, counts->shard, strnlen(counts->shard, sizeof counts->shard));
  lua_setfield(L, -2, "name");
  cdb__lua_set_integer(L, "writes", (int64_t)counts->statements[0]);
  cdb__lua_set_integer(L, "reads", (int64_t)counts->statements[1]);
  cdb__lua_set_integer(L, "slow", (int64_t)counts->slow);
  cdb__lua_set_integer(L, "forwarded", (int64_t)counts->forwarded);
  push_errors(L, counts, &errors);
  lua_setfield(L, -2, "errors_by_code");
  cdb__lua_set_integer(L, "errors", errors);
  set_histogram(L, "write", &counts->took[0]);
  set_histogram(L, "read", &counts->took[1]);
}

static void push_cache(lua_State *L, const cdb__statistics *head) {
  lua_createtable(L, 0, 6);
  cdb__lua_set_integer(L, "hits", (int64_t)head->hits);
  cdb__lua_set_integer(L, "misses", (int64_t)head->misses);
  cdb__lua_set_integer(L, "evictions", (int64_t)head->evictions);
  cdb__lua_set_integer(L, "entries", (int64_t)head->entries);
  cdb__lua_set_integer(L, "capacity", (int64_t)head->capacity);
  cdb__lua_set_integer(L, "bytes", (int64_t)head->bytes);
}

static void push(lua_State *L, const cdb__statistics *head) {
  lua_createtable(L, 0, 5);
  cdb__lua_set_integer(L, "pid", head->pid);
  cdb__lua_set_integer(L, "since", head->opened);
  push_cache(L, head);
  lua_setfield(L, -2, "cache");
  lua_createtable(L, (int)head->shard_count, 0);
  for (uint64_t i = 0; i < head->shard_count; i++) {
    push_shard(L, &head->shards[i].counts);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, "shards");
}

int cdb__statistics_push(lua_State *L, cdb__statistics *head, size_t size) {
  if (!head) return cdb__lua_fail(L, CDB_NOMEM, "no memory for the counts");
  cdb__statistics *kept = lua_newuserdatauv(L, size, 0); /* freed by Lua, whatever raises */
  memcpy(kept, head, size);
  free(head);
  push(L, kept);
  lua_remove(L, -2);
  return 1;
}

/* core.statistics(db): { pid, since, cache, shards }; lua/collegedb/statistics.lua has the shape. */
static int statistics(lua_State *L) {
  const cdb__lua_db *db = cdb__lua_check_db(L, 1);
  return cdb__statistics_push(L, cdb__statistics_take(db), cdb__statistics_size((size_t)db->shard_count));
}

/* --- slow statements ------------------------------------------------------------ */

/* core.slow_queries(db): those that were not told of yet, and how many more there were; also of a router that
 * was closed. */
static int slow_queries(lua_State *L) {
  cdb__lua_db *db = cdb__lua_test_db(L, 1);
  if (!db) return 0;
  lua_newtable(L);
  for (size_t i = 0; i < db->watch.queued; i++) {
    const cdb__slow_statement *slow = &db->watch.queue[i];
    lua_createtable(L, 0, 5);
    lua_pushnumber(L, slow->seconds);
    lua_setfield(L, -2, "seconds");
    cdb__lua_set_integer(L, "at", slow->at);
    lua_pushstring(L, slow->readonly ? "read" : "write");
    lua_setfield(L, -2, "kind");
    lua_pushstring(L, slow->shard);
    lua_setfield(L, -2, "shard");
    lua_pushfstring(L, "%s%s", slow->sql, slow->cut ? " …" : "");
    lua_setfield(L, -2, "sql");
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_pushinteger(L, (lua_Integer)db->watch.dropped);
  db->watch.queued = db->watch.dropped = 0;
  return 2;
}

/* core.count_from_now(db): what opening did is not the program's. */
static int count_from_now(lua_State *L) {
  cdb__lua_db *db = cdb__lua_check_db(L, 1);
  for (int i = 0; i < db->shard_count; i++) cdb__lua_meter_reset(db->shards[i]);
  cdb__statistics_write_all(db);
  return 0;
}

void cdb__lua_open_statistics(lua_State *L) {
  static const luaL_Reg functions[] = {{"statistics", statistics},
                                       {"slow_queries", slow_queries},
                                       {"count_from_now", count_from_now},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
  cdb__lua_open_statistics_files(L);
}
