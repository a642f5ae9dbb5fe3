/* The hot path: a routed call, from its arguments to the shard that runs it.
 *
 *   SQL text -> plan (scanned once) -> key, typed by the plan's table
 *            -> mapping cache -> shard -> run.c
 *
 * Only a key that the cache does not know takes the way through Lua
 * (lua/collegedb/router.lua). No Lua function runs in between otherwise. */
#include <string.h>

#include "bind/bind.h"

static const char *const WHY[CDB__WHY_COUNT] = {"home", "directory", "found",    "claimed", "unclaimed",
                                                "home", "directory", "old home", "moved"};

/* Its address in each router proves what a userdata is, at a fraction of the
 * cost of comparing metatables; the size says that it may be read at all. */
const char cdb__lua_db_magic = 0;

static inline cdb__lua_db *test_db(lua_State *L, int arg) {
  cdb__lua_db *db = lua_touserdata(L, arg);
  return db && lua_rawlen(L, arg) == sizeof *db && db->magic == &cdb__lua_db_magic ? db : NULL;
}

static inline cdb__lua_db *check_db(lua_State *L, int arg) {
  cdb__lua_db *db = test_db(L, arg);
  if (!db)
    cdb__lua_fail(L, CDB_USAGE, "a database of collegedb.open was expected, not %s (call with `:`)",
                  luaL_typename(L, arg));
  if (atomic_load_explicit(&db->open, memory_order_relaxed) != CDB__DB_OPEN) cdb__lua_attend(L, arg, db);
  return db;
}

cdb__lua_db *cdb__lua_check_db(lua_State *L, int arg) { return check_db(L, arg); }

cdb__lua_db *cdb__lua_test_db(lua_State *L, int arg) { return test_db(L, arg); }

static int64_t now_ms(const cdb__lua_db *db) { return cdb__clock_now(&db->clock); }

void cdb__lua_keep(cdb__lua_db *db, cdb__hash hash, int index, int why) {
  const int64_t now = now_ms(db);
  cdb__cache_put(db->cache, hash, now, now + db->life_ms, index, why);
}

/* After Lua has run, also a script, hook or finalizer of the user's. */
static void check_still_open(lua_State *L, const cdb__lua_db *db) {
  if (!db->open) cdb__lua_fail(L, CDB_CLOSED, "the database was closed by a script that it called");
}

/* Asks Lua where the key is. Afterwards the plan may be gone, and with it what the key points to. */
static int ask(lua_State *L, cdb__lua_db *db, const char *table, bool insert, const cdb__key *key,
               cdb__hash hash, int *why) {
  luaL_checkstack(L, 8, NULL);
  lua_getiuservalue(L, 1, 3);
  lua_getiuservalue(L, 1, 1);
  lua_pushlstring(L, key->space->name, key->space->size);
  lua_pushlstring(L, key->text, key->size);
  if (table && *table) lua_pushstring(L, table);
  else lua_pushnil(L);
  lua_pushboolean(L, insert);
  lua_call(L, 5, 3);
  check_still_open(L, db);
  const int index = (int)lua_tointeger(L, -3) - 1;
  *why = (int)lua_tointeger(L, -2);
  const bool kept = lua_toboolean(L, -1);
  lua_pop(L, 3);
  if (*why < 0 || *why >= CDB__WHY_COUNT) *why = CDB__HOME;
  if (index < 0 || index >= db->shard_count) return -1;
  if (kept) cdb__lua_keep(db, hash, index, *why);
  return index;
}

/* Which reasons in the cache are good enough, by what a call is about.
 *
 * An INSERT trusts the cache only where the directory has an entry: since a key
 * was seen to have none, another process may have taken a shard over that has it.
 * A key that may be a row's own inside a group is not where its home or its entry
 * would be, but where rows of it were seen. */
enum {
  TRUST_ENTRY = 1 << CDB__DIRECTORY | 1 << CDB__CLAIMED | 1 << CDB__ROOTED_ENTRY,
  TRUST_HOME = TRUST_ENTRY | 1 << CDB__HOME | 1 << CDB__ROOTED | 1 << CDB__OLD_HOME | 1 << CDB__FOLLOWED,
  TRUST_ROWS = 1 << CDB__ROOTED | 1 << CDB__ROOTED_ENTRY,
  TRUST_ROWS_ENTRY = 1 << CDB__ROOTED_ENTRY
};

/* May the key be a row's own inside a group, of the plan's table or of one that it follows? */
static inline bool may_be_member(const cdb__lua_db *db, const cdb__lua_plan *plan, const cdb__key *key) {
  if (key->space->size == 0) return plan ? plan->text_member : db->text_members;
  return plan && plan->member && plan->space.cache_seed == key->space->cache_seed;
}

/* The way of a key that the cache does not answer for. `seen`: a row of it was seen at the home `index`. */
static int look_up(lua_State *L, cdb__lua_db *db, const cdb__lua_plan *plan, bool insert, const cdb__key *key,
                   cdb__hash hash, bool member, bool seen, int index, int *why) {
  if (!member || seen) {
    const int found = cdb__lua_find_home(L, db, key, why);
    if (found >= 0 && seen && found == index) return found;
    if (found >= 0 && !member) {
      cdb__lua_keep(db, hash, found, *why);
      return found;
    }
  }
  return ask(L, db, plan ? plan->table : NULL, insert, key, hash, why);
}

/* Index of the key's shard, or -1. `found` is what else a statement may trust that would
 * show when a row has gone: the place of one that a look has found. */
static inline int resolve(lua_State *L, cdb__lua_db *db, const cdb__lua_plan *plan, bool insert,
                          const cdb__key *key, cdb__hash hash, unsigned found, int *why) {
  const bool member = may_be_member(db, plan, key);
  const int index = cdb__cache_get(db->cache, hash, now_ms(db), why);
  const unsigned read = member ? TRUST_ROWS | (plan && plan->tells_nothing ? found : 0) : TRUST_HOME;
  const unsigned trusted = !insert ? read : member ? TRUST_ROWS_ENTRY : TRUST_ENTRY;
  if (index >= 0 && trusted >> *why & 1) return index;
  const bool seen = index >= 0 && *why == CDB__ROOTED;
  return look_up(L, db, plan, insert, key, hash, member, seen, index, why);
}

static inline cdb__lua_shard *ready(lua_State *L, const cdb__lua_db *db, int index) {
  if (index < 0) cdb__lua_fail(L, CDB_INTERNAL, "the router answered with a shard that does not exist");
  cdb__lua_shard *shard = db->shards[index];
  cdb__lua_check_free(L, shard);
  return shard;
}

/* The usual key by a short way: a string, where the column holds text and compares it as it is. */
static inline void read_key(lua_State *L, cdb__lua_db *db, const cdb__lua_plan *plan, cdb__lua_call *call,
                            cdb__lua_key_arg *out) {
  call->key_size = 0;
  if (plan->key_kind == CDB__KEY_TEXT && !plan->fold && lua_type(L, 2) == LUA_TSTRING) {
    size_t size;
    const char *text = lua_tolstring(L, 2, &size);
    if (size >= 1 && size <= CDB__KEY_MAX) {
      cdb__key_text(&out->key, &db->global, text, size);
      call->key_text = text;
      call->key_size = size;
      return;
    }
  }
  cdb__lua_check_key(L, 2, db, plan, out);
}

/* Reads key, SQL and params at 2, 3 and 4, and finds the shard. */
static inline cdb__lua_shard *route(lua_State *L, cdb__lua_db *db, cdb__lua_call *call, unsigned found) {
  cdb__lua_key_arg key;
  call->params = 4;
  call->key_arg = 2;
  call->inner = false;
  cdb__lua_plan *plan = cdb__lua_plan_at(L, db, call);
  call->kind = plan->kind;
  read_key(L, db, plan, call, &key);
  call->key = cdb__key_cache_hash(&key.key);
  return ready(L, db,
               resolve(L, db, plan, call->kind == CDB__SQL_INSERT, &key.key, call->key, found, &call->why));
}

static int index_of(const cdb__lua_db *db, const cdb__lua_shard *shard) {
  int index = 0;
  while (index < db->shard_count && db->shards[index] != shard) index++;
  return index;
}

/* moved(state, db, method, key, sql, params, index, why): true and its result on top, or nothing and false.
 */
static bool ask_moved(lua_State *L, const cdb__lua_shard *shard, const cdb__lua_call *call,
                      const char *method, const char *why) {
  const int top = lua_gettop(L);
  const cdb__lua_db *db = test_db(L, 1);
  if (!db || !db->open) return false;
  luaL_checkstack(L, 12, NULL);
  lua_getiuservalue(L, 1, 6);
  lua_getiuservalue(L, 1, 1);
  lua_pushvalue(L, 1);
  lua_pushstring(L, method);
  lua_pushvalue(L, call->key_arg);
  lua_pushlstring(L, call->sql, call->size);
  lua_pushvalue(L, call->params);
  lua_pushinteger(L, index_of(db, shard) + 1);
  lua_pushstring(L, why);
  lua_call(L, 8, 2);
  if (lua_toboolean(L, -2)) return true;
  lua_settop(L, top);
  return false;
}

bool cdb__lua_follow(lua_State *L, const cdb__lua_shard *shard, const cdb__lua_call *call, const char *method,
                     bool refused) {
  if (!ask_moved(L, shard, call, method, refused ? "refused" : "nothing")) return false;
  if (shard->meter) shard->meter->counts.forwarded++;
  return true;
}

const char *cdb__lua_method_of(cdb__lua_runner run) {
  return run == cdb__lua_first ? "first" : run == cdb__lua_all ? "all" : "run";
}

/* A read with consistency = "strict". Where there is no fence, no key has left the shard. Whether there is
 * one is known once the statement has run: SQLite prepares it anew when the schema has changed. Else Lua
 * reads in the snapshot in which it has looked at the fence. */
static int strict_run(lua_State *L, cdb__lua_shard *shard, const cdb__lua_call *call, cdb__lua_runner run) {
  const int top = lua_gettop(L);
  for (;;) {
    if (shard->fence && ask_moved(L, shard, call, cdb__lua_method_of(run), "strict")) return 1;
    lua_settop(L, top);
    run(L, shard, call);
    if (!shard->handle || !shard->fence) return 1;
  }
}

static int run_on(lua_State *L, cdb__lua_db *db, cdb__lua_shard *shard, const cdb__lua_call *call,
                  cdb__lua_runner run) {
  if (db->strict && call->kind == CDB__SQL_SELECT) return strict_run(L, shard, call, run);
  return db->check_keys ? cdb__lua_checked_run(L, db, shard, call, run) : run(L, shard, call);
}

/* A row that a look has found may have gone since, with its group or for good: where
 * there is nothing of it any more, look again. Keeps the result on top unless it is elsewhere now, or came
 * back meanwhile, which can be only where keys have moved. */
static bool look_again(lua_State *L, cdb__lua_db *db, const cdb__lua_shard *shard, const cdb__lua_call *call,
                       cdb__lua_runner run) {
  cdb__lua_call again = *call;
  const int result = lua_gettop(L);
  cdb__cache_drop(db->cache, call->key);
  cdb__lua_shard *now = route(L, db, &again, 0);
  const bool back = now == shard && again.why == CDB__FOUND && shard->fence;
  lua_settop(L, now == shard && !back ? result : 4);
  if (now == shard && !back) return false;
  if (back) again.why = CDB__HOME; /* so that it is the last look */
  run_on(L, db, now, &again, run);
  return true;
}

int cdb__lua_look_after(lua_State *L, cdb__lua_shard *shard, const cdb__lua_call *call, cdb__lua_runner run) {
  cdb__lua_db *db = test_db(L, 1);
  if (!db || !db->open) return 1;
  if (call->why == CDB__FOUND && call->kind != CDB__SQL_INSERT && look_again(L, db, shard, call, run))
    return 1;
  if (shard->fence) cdb__lua_follow(L, shard, call, cdb__lua_method_of(run), false);
  return 1;
}

/* Neither rows nor changes in the result on top: of first, all or run. */
static bool is_nothing(lua_State *L, cdb__lua_runner run) {
  if (run == cdb__lua_first) return lua_isnil(L, -1);
  if (run == cdb__lua_all) return lua_rawlen(L, -1) == 0;
  lua_getfield(L, -1, "results");
  lua_getfield(L, -2, "meta");
  lua_getfield(L, -1, "changes");
  const bool nothing = lua_rawlen(L, -3) == 0 && lua_tointeger(L, -1) == 0;
  lua_pop(L, 3);
  return nothing;
}

/* The runner is called on another stack there, from which it can not be routed again. */
static int carefully(lua_State *L, cdb__lua_db *db, cdb__lua_shard *shard, const cdb__lua_call *call,
                     cdb__lua_runner run) {
  shard->handle->routed = shard->handle->replicas && !db->strict;
  if (!db->check_keys || (db->strict && call->kind == CDB__SQL_SELECT))
    return run_on(L, db, shard, call, run);
  cdb__lua_checked_run(L, db, shard, call, run);
  return is_nothing(L, run) ? cdb__lua_look_after(L, shard, call, run) : 1;
}

static int routed(lua_State *L, cdb__lua_runner run) {
  cdb__lua_call call;
  if (lua_gettop(L) != 4) lua_settop(L, 4);
  cdb__lua_db *db = check_db(L, 1);
  cdb__lua_shard *shard = route(L, db, &call, 1 << CDB__FOUND);
  return db->careful ? carefully(L, db, shard, &call, run) : run(L, shard, &call);
}

static int method_run(lua_State *L) { return routed(L, cdb__lua_run); }
static int method_first(lua_State *L) { return routed(L, cdb__lua_first); }
static int method_all(lua_State *L) { return routed(L, cdb__lua_all); }

/* A strict loop is begun in Lua: its rows are of the snapshot in which the key was there. */
static int strict_each(lua_State *L, const cdb__lua_shard *shard, const cdb__lua_call *call) {
  if (!ask_moved(L, shard, call, "each", "strict"))
    cdb__lua_fail(L, CDB_INTERNAL, "a strict loop has no shard");
  const int values = lua_gettop(L);
  for (int i = 1; i <= 4; i++) lua_rawgeti(L, values, i);
  return 4;
}

static int begin_each(lua_State *L, const cdb__lua_db *db, cdb__lua_shard *shard, const cdb__lua_call *call) {
  lua_settop(L, 4);
  lua_getiuservalue(L, 1, 2);
  lua_rawgeti(L, -1, index_of(db, shard) + 1);
  return cdb__lua_each(L, shard, lua_gettop(L), call);
}

/* Where the loop's key has gone to, if it has left the shard. */
static cdb__lua_shard *follow_each(lua_State *L, const cdb__lua_db *db, cdb__lua_shard *shard,
                                   const cdb__lua_call *call) {
  lua_settop(L, 4);
  const bool told = cdb__lua_follow(L, shard, call, "each", false);
  check_still_open(L, db);
  if (!told) return shard;
  return ready(L, db, (int)lua_tointeger(L, -1) - 1);
}

static int method_each(lua_State *L) {
  cdb__lua_call call;
  lua_settop(L, 4);
  cdb__lua_db *db = check_db(L, 1);
  cdb__lua_shard *shard = route(L, db, &call, 0);
  if (db->strict && call.kind == CDB__SQL_SELECT) return strict_each(L, shard, &call);
  const bool fence = shard->fence;
  if (fence) shard = follow_each(L, db, shard, &call);
  lua_settop(L, 4);
  if (db->check_keys && call.kind != CDB__SQL_SELECT) return cdb__lua_checked_each(L, db, shard, &call);
  const int values = begin_each(L, db, shard, &call);
  if (fence || call.kind != CDB__SQL_SELECT) return values;
  /* Keys may have left since it was last known that none has: the first step tells. */
  cdb__lua_cursor *cursor = cdb__lua_each_start(L);
  if (cursor->first == CDB__ROW || !shard->fence) return values;
  cdb__fault ignored;
  cdb__lua_cursor_end(cursor, &ignored);
  return begin_each(L, db, follow_each(L, db, shard, &call), &call);
}

/* A plan for a table's name alone. */
static cdb__lua_plan *table_plan(lua_State *L, cdb__lua_db *db, int arg) {
  size_t size;
  const char *table = cdb__lua_check_string(L, arg, "the table", &size);
  if (strlen(table) != size) /* what is before it could be another table's */
    cdb__lua_fail(L, CDB_TABLE_NOT_FOUND, "no table has a NUL byte in its name, as %s… has", table);
  luaL_Buffer text;
  luaL_buffinit(L, &text);
  luaL_addstring(&text, "DELETE FROM \"");
  luaL_addgsub(&text, table, "\"", "\"\"");
  luaL_addchar(&text, '"');
  luaL_pushresult(&text);
  cdb__lua_call call = {0};
  call.sql = lua_tolstring(L, -1, &call.size);
  cdb__lua_plan *plan = cdb__lua_plan_for(L, db, 1, &call);
  if (plan->key_kind == CDB__KEY_UNKNOWN)
    cdb__lua_fail(L, CDB_TABLE_NOT_FOUND, "no shard has a table %s with a known key", table);
  return plan;
}

/* Where no statement names a table, an integer key can only be of the one that
 * has integer keys: describe(state, nil) returns its name, or raises USAGE. */
static void name_only_table(lua_State *L, int key, int table) {
  if (lua_type(L, key) != LUA_TNUMBER || !lua_isnil(L, table)) return;
  lua_getiuservalue(L, 1, 4);
  lua_getiuservalue(L, 1, 1);
  lua_pushnil(L);
  lua_call(L, 2, 1);
  lua_replace(L, table);
}

/* db:locate(key[, table]): the shard's name and why, or nil; allocates nothing. */
static int method_locate(lua_State *L) {
  cdb__lua_key_arg key;
  int why = 0;
  lua_settop(L, 3);
  cdb__lua_db *db = check_db(L, 1);
  name_only_table(L, 2, 3);
  cdb__lua_plan *plan = lua_isnil(L, 3) ? NULL : table_plan(L, db, 3);
  cdb__lua_check_key(L, 2, db, plan, &key);
  const int index = resolve(L, db, plan, false, &key.key, cdb__key_cache_hash(&key.key), 0, &why);
  if (index < 0 || why == CDB__UNCLAIMED) {
    lua_pushnil(L);
    lua_pushstring(L, "unknown");
    return 2;
  }
  lua_pushstring(L, db->shards[index]->name);
  lua_pushstring(L, WHY[why]);
  return 2;
}

/* The plan of the SQL text at 3; without one, of the only table that an integer key at 2 can be of, or NULL.
 */
static cdb__lua_plan *plan_of(lua_State *L, cdb__lua_db *db) {
  if (lua_isnil(L, 3)) {
    name_only_table(L, 2, 3);
    return lua_isnil(L, 3) ? NULL : table_plan(L, db, 3);
  }
  cdb__lua_call call = {0};
  call.sql = cdb__lua_check_string(L, 3, "the SQL text", &call.size);
  return cdb__lua_plan_for(L, db, 1, &call);
}

/* core.route(db, key, sql or nil, insert): the shard for a transaction or batch, the key's cache hash
 * kept in it, and the shard's index. */
static int route_only(lua_State *L) {
  cdb__lua_key_arg key;
  int why;
  lua_settop(L, 4);
  cdb__lua_db *db = check_db(L, 1);
  cdb__lua_plan *plan = plan_of(L, db);
  if (!plan) cdb__lua_refuse_capitals(L, 2, db);
  cdb__lua_check_key(L, 2, db, plan, &key);
  const cdb__hash hash = cdb__key_cache_hash(&key.key);
  const int index = resolve(L, db, plan, lua_toboolean(L, 4), &key.key, hash, 0, &why);
  ready(L, db, index);
  lua_getiuservalue(L, 1, 2);
  lua_rawgeti(L, -1, index + 1);
  lua_pushlstring(L, (const char *)&hash, sizeof hash);
  lua_pushinteger(L, index + 1);
  return 3;
}

/* core.key_of(db, key, sql or nil): keyspace and canonical text of a key, as a statement types it. */
static int key_of(lua_State *L) {
  cdb__lua_key_arg key;
  lua_settop(L, 3);
  cdb__lua_db *db = check_db(L, 1);
  cdb__lua_check_key(L, 2, db, plan_of(L, db), &key);
  lua_pushlstring(L, key.key.space->name, key.key.space->size);
  lua_pushlstring(L, key.key.text, key.key.size);
  return 2;
}

void cdb__lua_open_route(lua_State *L) {
  static const luaL_Reg methods[] = {{"run", method_run},
                                     {"insert", method_run},
                                     {"select_by_primary_key", method_run},
                                     {"update_by_primary_key", method_run},
                                     {"delete_by_primary_key", method_run},
                                     {"first", method_first},
                                     {"all", method_all},
                                     {"each", method_each},
                                     {"locate", method_locate},
                                     {NULL, NULL}};
  static const luaL_Reg functions[] = {{"route", route_only},
                                       {"key_of", key_of},
                                       {"check_tables", cdb__lua_check_tables},
                                       {"set_homes", cdb__lua_set_homes},
                                       {NULL, NULL}};
  luaL_newmetatable(L, CDB__DB_CLASS);
  luaL_newlib(L, methods);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "__index");
  lua_setfield(L, -3, "db_methods");
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "db_class"); /* Lua adds __close and __tostring */
  lua_pop(L, 1);
  luaL_setfuncs(L, functions, 0);
}
