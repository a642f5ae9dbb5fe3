/* Plans: what is known about each SQL text that was routed. Scanned once;
 * what the catalog says of the main table is asked again when it changes. */
#include <stdlib.h>
#include <string.h>

#include "bind/bind.h"

void cdb__lua_plans_free(cdb__lua_db *db) {
  for (int i = 0; i < CDB__PLAN_BUCKETS; i++) {
    cdb__lua_plan *plan = db->plans[i];
    while (plan) {
      cdb__lua_plan *next = plan->next;
      free(plan);
      plan = next;
    }
    db->plans[i] = NULL;
  }
  memset(db->texts, 0, sizeof db->texts);
  db->plan_count = 0;
}

static cdb__lua_plan *new_plan(lua_State *L, cdb__lua_db *db, const cdb__lua_call *call) {
  cdb__sql_info info;
  char table[sizeof((cdb__lua_plan *)0)->table] = "";
  cdb__sql_scan(call->sql, call->size, &info);
  if (info.table && cdb__sql_name(info.table, info.table_size, table, sizeof table) >= sizeof table)
    cdb__lua_fail(L, CDB_USAGE, "the table's name has more than %zu bytes, and can not be routed",
                  sizeof table - 1);
  /* A program that writes its values into its SQL makes endless texts. Starting
   * over is cheaper than keeping score, and as good for everybody else. */
  if (db->plan_count >= CDB__PLAN_LIMIT) cdb__lua_plans_free(db);
  cdb__lua_plan *plan = calloc(1, sizeof *plan + call->size);
  if (!plan) cdb__lua_fail(L, CDB_NOMEM, "no memory for a statement of %zu bytes", call->size);
  memcpy(plan->sql, call->sql, call->size);
  plan->size = call->size;
  plan->hash = call->hash;
  plan->id = cdb__random_seed() | 1;
  plan->catalog = db->catalog - 1;
  plan->kind = info.kind;
  memcpy(plan->table, table, sizeof table);
  /* Without a parenthesis there is no aggregate. */
  plan->tells_nothing = info.kind != CDB__SQL_SELECT || !memchr(call->sql, '(', call->size);
  cdb__lua_plan **bucket = &db->plans[call->hash % CDB__PLAN_BUCKETS];
  plan->next = *bucket;
  *bucket = plan;
  db->plan_count++;
  return plan;
}

/* describe(state, table) returns the kind of key ("text", "integer", "numeric"
 * or nil), the keyspace of integer keys, whether strings compare NOCASE, and
 * whether an integer and a string may be the key of a row inside a group. */
static void describe(lua_State *L, cdb__lua_db *db, int db_index, cdb__lua_plan *plan) {
  const int top = lua_gettop(L);
  char table[sizeof plan->table];
  memcpy(table, plan->table, sizeof table);
  const uint64_t hash = plan->hash;
  luaL_checkstack(L, 8, NULL);
  lua_getiuservalue(L, db_index, 4);
  lua_getiuservalue(L, db_index, 1);
  lua_pushstring(L, table);
  lua_call(L, 2, 5);
  /* Lua code ran: the plans may have been started over. Find ours again. */
  for (plan = db->plans[hash % CDB__PLAN_BUCKETS]; plan && plan->hash != hash;) plan = plan->next;
  if (plan) {
    const char *kind = lua_tostring(L, top + 1);
    size_t size = 0;
    const char *space = lua_tolstring(L, top + 2, &size);
    plan->key_kind = !kind                          ? CDB__KEY_UNKNOWN
                     : strcmp(kind, "integer") == 0 ? CDB__KEY_INTEGER
                     : strcmp(kind, "numeric") == 0 ? CDB__KEY_NUMERIC
                                                    : CDB__KEY_TEXT;
    plan->fold = lua_toboolean(L, top + 3);
    plan->member = lua_toboolean(L, top + 4);
    plan->text_member = lua_toboolean(L, top + 5);
    if (space && size < sizeof plan->space_name) {
      memcpy(plan->space_name, space, size);
      plan->space = cdb__keyspace_make(plan->space_name, size, db->seed);
    } else if (plan->key_kind == CDB__KEY_INTEGER) {
      plan->key_kind = CDB__KEY_UNKNOWN;
    }
    /* A table that is not known yet may be there at the next call. */
    if (kind) plan->catalog = db->catalog;
  }
  lua_settop(L, top);
}

static bool is_of(const cdb__lua_plan *plan, const cdb__lua_call *call) {
  return plan->hash == call->hash && plan->size == call->size &&
         memcmp(plan->sql, call->sql, call->size) == 0;
}

static cdb__lua_plan *find(const cdb__lua_db *db, const cdb__lua_call *call) {
  cdb__lua_plan *plan = db->plans[call->hash % CDB__PLAN_BUCKETS];
  while (plan && !is_of(plan, call)) plan = plan->next;
  return plan;
}

cdb__lua_plan *cdb__lua_plan_for(lua_State *L, cdb__lua_db *db, int db_index, cdb__lua_call *call) {
  call->hash = cdb__sql_hash(call->sql, call->size);
  cdb__lua_plan *plan = find(db, call);
  if (!plan) plan = new_plan(L, db, call);
  if (!plan->table[0]) {
    plan->text_member = db->text_members; /* it may be about any table */
    plan->catalog = db->catalog;
  }
  if (plan->catalog != db->catalog) {
    describe(L, db, db_index, plan);
    plan = find(db, call);
    if (!db->open) cdb__lua_fail(L, CDB_CLOSED, "the database was closed by a script that it called");
    if (!plan) return cdb__lua_fail(L, CDB_INTERNAL, "the plan of a statement went away"), NULL;
  }
  call->id = plan->id;
  return plan;
}

cdb__lua_plan *cdb__lua_plan_meet(lua_State *L, cdb__lua_db *db, cdb__lua_call *call) {
  const void *string = lua_topointer(L, 3);
  call->sql = cdb__lua_check_string(L, 3, "the SQL text", &call->size);
  cdb__lua_plan *plan = cdb__lua_plan_for(L, db, 1, call);
  /* Only now: what Lua was asked may have routed other texts. */
  cdb__lua_known_text *known = cdb__lua_known(db, string);
  lua_getiuservalue(L, 1, 7);
  lua_pushvalue(L, 3);
  lua_rawseti(L, -2, known - db->texts + 1); /* its table has room: nothing is allocated, nothing raises */
  lua_pop(L, 1);
  *known = (cdb__lua_known_text){string, call->sql, plan};
  return plan;
}
