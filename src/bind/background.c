/* core.background(db, plan) and what is asked of it: an integration on a thread
 * of its own, which belongs to the router `db` and ends with it. */
#include "directory/background.h"

#include <stdlib.h>

#include "bind/takeover_plan.h"

static const char ATTEND[] = "collegedb.attend";

/* Lives as long as its router, in whose userdata it is kept; see free_router. */
struct cdb__lua_background {
  cdb__background *thread;
  cdb__background_plan plan;
  cdb__lua_takeover_plan *reads; /* own what the columns' plans point to */
  size_t read_count;
  char **texts;
  size_t text_count;
};

static void *allocate(lua_State *L, size_t count, size_t size) {
  void *memory = calloc(count + 1, size);
  if (!memory) cdb__lua_fail(L, CDB_NOMEM, "no memory for an integration in the background");
  return memory;
}

static void release(struct cdb__lua_background *b) {
  cdb__background_free(b->thread);
  for (size_t i = 0; i < b->read_count; i++) cdb__lua_takeover_plan_free(&b->reads[i]);
  for (size_t i = 0; i < b->plan.part_count; i++) free(b->plan.parts[i].columns);
  for (size_t i = 0; i < b->text_count; i++) free(b->texts[i]);
  free(b->texts);
  free(b->reads);
  free(b->plan.parts);
  free(b->plan.paths);
  free(b);
}

void cdb__lua_background_end(cdb__lua_db *db) {
  if (db->background) release(db->background);
  db->background = NULL;
}

/* A copy of the text on top, which it pops. */
static const char *keep_text(lua_State *L, struct cdb__lua_background *b) {
  size_t size;
  const char *text = luaL_checklstring(L, -1, &size);
  char **grown = realloc(b->texts, (b->text_count + 1) * sizeof *grown);
  if (grown) b->texts = grown;
  char *copy = grown ? malloc(size + 1) : NULL;
  if (!copy) cdb__lua_fail(L, CDB_NOMEM, "no memory for an integration in the background");
  memcpy(copy, text, size + 1);
  b->texts[b->text_count++] = copy;
  lua_pop(L, 1);
  return copy;
}

static void read_paths(lua_State *L, struct cdb__lua_background *b) {
  lua_getfield(L, 2, "directory");
  b->plan.directory = keep_text(L, b);
  lua_getfield(L, 2, "paths");
  b->plan.paths = allocate(L, lua_rawlen(L, -1), sizeof *b->plan.paths);
  b->plan.path_count = lua_rawlen(L, -1);
  for (size_t i = 0; i < b->plan.path_count; i++) {
    lua_rawgeti(L, -1, (lua_Integer)i + 1);
    b->plan.paths[i] = keep_text(L, b);
  }
  lua_pop(L, 1);
}

/* columns = { plan, … } of the part on top; `next` is the first free one of b->reads. */
static void read_columns(lua_State *L, struct cdb__lua_background *b, cdb__background_part *part,
                         size_t next) {
  lua_getfield(L, -1, "columns");
  const size_t count = lua_istable(L, -1) ? lua_rawlen(L, -1) : 0;
  part->columns = allocate(L, count, sizeof *part->columns);
  for (size_t i = 0; i < count; i++) {
    cdb__lua_takeover_plan *read = &b->reads[next + i];
    lua_rawgeti(L, -1, (lua_Integer)i + 1);
    read->copies = true;
    cdb__lua_takeover_plan_read(L, lua_gettop(L), read);
    part->columns[i].plan = read->plan;
    part->columns[i].source = read->source;
    lua_getfield(L, -1, "count");
    part->columns[i].count = keep_text(L, b);
    lua_pop(L, 1);
  }
  part->count = count;
  lua_pop(L, 1);
}

static size_t count_columns(lua_State *L) {
  size_t count = 0;
  for (lua_Integer i = 1; i <= (lua_Integer)lua_rawlen(L, -1); i++) {
    lua_rawgeti(L, -1, i);
    lua_getfield(L, -1, "columns");
    count += lua_istable(L, -1) ? lua_rawlen(L, -1) : 0;
    lua_pop(L, 2);
  }
  return count;
}

/* parts = { { shard_id, placement, generation, job, claim, elsewhere, integrated, columns }, … } */
static void read_parts(lua_State *L, struct cdb__lua_background *b) {
  lua_getfield(L, 2, "parts");
  const size_t columns = count_columns(L);
  b->reads = allocate(L, columns, sizeof *b->reads);
  b->read_count = columns;
  b->plan.parts = allocate(L, lua_rawlen(L, -1), sizeof *b->plan.parts);
  b->plan.part_count = lua_rawlen(L, -1);
  size_t next = 0;
  for (size_t i = 0; i < b->plan.part_count; i++) {
    cdb__background_part *part = &b->plan.parts[i];
    lua_rawgeti(L, -1, (lua_Integer)i + 1);
    const int table = lua_gettop(L);
    part->base.shard_id = cdb__lua_integer_field(L, table, "shard_id", 0);
    part->base.placement = cdb__lua_integer_field(L, table, "placement", 0);
    part->base.generation = cdb__lua_integer_field(L, table, "generation", 0);
    part->base.job = cdb__lua_integer_field(L, table, "job", 0);
    part->claim = cdb__lua_integer_field(L, table, "claim", 0);
    part->elsewhere = cdb__lua_boolean_field(L, table, "elsewhere");
    part->integrated = cdb__lua_boolean_field(L, table, "integrated");
    read_columns(L, b, part, next);
    next += part->count;
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

/* core.background(db, { directory, paths, lock, parts }): ends the one before, and starts this. */
static int start(lua_State *L) {
  cdb__lua_db *db = cdb__lua_check_db(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  cdb__fault fault;
  cdb__lua_background_end(db);
  db->background = allocate(L, 1, sizeof *db->background);
  struct cdb__lua_background *b = db->background;
  read_paths(L, b);
  read_parts(L, b);
  lua_getfield(L, 2, "lock");
  b->plan.lock = lua_isnil(L, -1) ? -1 : cdb__lua_filelock(L, -1);
  b->plan.attention = &db->open;
  b->plan.quiet = CDB__DB_OPEN;
  b->plan.raised = CDB__DB_ATTENTION;
  if (cdb__background_start(&b->thread, &b->plan, &fault) == CDB_OK) return 0;
  cdb__lua_background_end(db);
  return cdb__lua_raise(L, &fault, NULL, NULL);
}

static void push_fault(lua_State *L, const cdb__fault *fault) {
  lua_createtable(L, 0, 2);
  lua_pushstring(L, cdb_code_name(fault->code));
  lua_setfield(L, -2, "code");
  lua_pushstring(L, fault->message);
  lua_setfield(L, -2, "message");
}

/* What is told of a part; a copy, because a finalizer that runs while tables are made may close the database.
 */
typedef struct {
  int state;
  int64_t done, total, first, conflicts, ms;
  cdb__fault fault;
} told;

static told look_at(const cdb__background_part *part) {
  told now = {.state = atomic_load(&part->state), .done = atomic_load(&part->done)};
  now.total = atomic_load(&part->total);
  now.first = atomic_load(&part->first);
  now.conflicts = atomic_load(&part->conflicts);
  const int64_t started = atomic_load(&part->started), ended = atomic_load(&part->ended);
  now.ms = started ? (ended ? ended : cdb__clock_ticks() / 1000000) - started : 0;
  if (now.state == CDB__PART_FAILED) now.fault = part->fault;
  return now;
}

static void push_told(lua_State *L, const told *now) {
  static const char *const names[] = {"waiting", "running", "done", "stopped", "again", "failed"};
  lua_createtable(L, 0, 8);
  lua_pushstring(L, names[now->state]);
  lua_setfield(L, -2, "state");
  cdb__lua_set_integer(L, "done", now->done);
  cdb__lua_set_integer(L, "total", now->total);
  cdb__lua_set_integer(L, "first", now->first);
  cdb__lua_set_integer(L, "conflicts", now->conflicts);
  cdb__lua_set_integer(L, "ms", now->ms);
  if (now->state != CDB__PART_FAILED) return;
  push_fault(L, &now->fault);
  lua_setfield(L, -2, "error");
}

/* The thread was started, and is still the database's. */
static bool is_there(const cdb__lua_db *db) { return db->background && db->background->thread; }

/* core.background_parts(db): the state of each part, and whether the thread works; nil without one. */
static int parts(lua_State *L) {
  const cdb__lua_db *db = cdb__lua_check_db(L, 1);
  if (!is_there(db)) return 0;
  const bool runs = cdb__background_runs(db->background->thread);
  lua_newtable(L);
  for (size_t i = 0; is_there(db) && i < db->background->plan.part_count; i++) {
    const told now = look_at(&db->background->plan.parts[i]);
    push_told(L, &now);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  if (!is_there(db)) return cdb__lua_fail(L, CDB_CLOSED, "the database was closed");
  lua_pushboolean(L, runs);
  return 2;
}

/* core.background_stop(db): asks the thread to stop and waits for it; its parts can still be asked. */
static int stop(lua_State *L) {
  const cdb__lua_db *db = cdb__lua_check_db(L, 1);
  if (is_there(db)) cdb__background_stop(db->background->thread);
  return 0;
}

/* core.on_attention(f): f(state) is called by the next call on a router whose background has news. */
static int on_attention(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_setfield(L, LUA_REGISTRYINDEX, ATTEND);
  return 0;
}

void cdb__lua_attend(lua_State *L, int arg, cdb__lua_db *db) {
  int raised = CDB__DB_ATTENTION;
  arg = lua_absindex(L, arg);
  if (atomic_compare_exchange_strong(&db->open, &raised, CDB__DB_OPEN)) {
    luaL_checkstack(L, 8, NULL);
    lua_getfield(L, LUA_REGISTRYINDEX, ATTEND);
    lua_getiuservalue(L, arg, 1);
    lua_call(L, 1, 0);
  }
  if (atomic_load(&db->open) == CDB__DB_CLOSED) cdb__lua_fail(L, CDB_CLOSED, "the database was closed");
}

/* core.attention(db): the next call looks again, and not this one. */
static int attention(lua_State *L) {
  cdb__lua_db *db = cdb__lua_test_db(L, 1);
  int quiet = CDB__DB_OPEN;
  if (!db) return 0;
  atomic_compare_exchange_strong(&db->open, &quiet, CDB__DB_ATTENTION);
  return 0;
}

void cdb__lua_open_background(lua_State *L) {
  static const luaL_Reg functions[] = {{"background", start},     {"background_parts", parts},
                                       {"background_stop", stop}, {"on_attention", on_attention},
                                       {"attention", attention},  {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
