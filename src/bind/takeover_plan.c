#include "bind/takeover_plan.h"

#include <stdlib.h>

static void *more(lua_State *L, void *array, size_t count, size_t size) {
  void *grown = realloc(array, (count + 1) * size);
  if (!grown) cdb__lua_fail(L, CDB_NOMEM, "no memory for a takeover");
  return grown;
}

/* A text field, or NULL; a copy of it where the plan outlives the table. */
static const char *text_field(lua_State *L, cdb__lua_takeover_plan *p, int table, const char *name,
                              size_t *size) {
  *size = 0;
  const char *text = cdb__lua_text_field(L, table, name, size);
  if (!text || !p->copies) return text;
  p->texts = more(L, p->texts, p->text_count, sizeof *p->texts);
  char *copy = malloc(*size + 1);
  if (!copy) cdb__lua_fail(L, CDB_NOMEM, "no memory for a takeover");
  memcpy(copy, text, *size + 1);
  p->texts[p->text_count++] = copy;
  return copy;
}

/* A field with a shard of this state, or with the number of a connection from 1. */
static cdb__shard *shard_field(lua_State *L, cdb__lua_takeover_plan *p, int table, const char *name,
                               int *slot) {
  cdb__shard *handle = NULL;
  *slot = -1;
  lua_getfield(L, table, name);
  if (p->copies) {
    *slot = (int)lua_tointeger(L, -1) - 1;
  } else if (!lua_isnil(L, -1)) {
    cdb__lua_shard *shard = cdb__lua_check_shard(L, -1);
    p->shards = more(L, p->shards, p->shard_count, sizeof *p->shards);
    p->shards[p->shard_count++] = shard;
    handle = shard->handle;
  }
  lua_pop(L, 1);
  return handle;
}

/* Reads { id, shard or nil, probe or nil, when } from the table on top. */
static cdb__takeover_place read_place(lua_State *L, cdb__lua_takeover_plan *p) {
  size_t size;
  const int table = lua_gettop(L);
  cdb__takeover_place place = {.shard_id = cdb__lua_integer_field(L, table, "id", 0),
                               .probe = text_field(L, p, table, "probe", &size),
                               .probe_many = text_field(L, p, table, "probe_many", &size)};
  const char *when = cdb__lua_text_field(L, table, "when", &size);
  place.when = !when                           ? CDB__ASK_INTEGRATED
               : strcmp(when, "awaiting") == 0 ? CDB__ASK_AWAITING
                                               : CDB__ASK_ALWAYS;
  place.shard = shard_field(L, p, table, "shard", &place.slot);
  return place;
}

static void read_node(lua_State *L, cdb__node *node) {
  size_t size = 0;
  const char *name = cdb__lua_text_field(L, lua_gettop(L), "name", &size);
  lua_getfield(L, -1, "weight");
  *node = (cdb__node){cdb__node_seed(name, size), lua_tonumber(L, -1)};
  lua_pop(L, 1);
}

/* field = { { id, shard, probe, when }, … }; with nodes also name and weight of each. */
static size_t read_places(lua_State *L, cdb__lua_takeover_plan *p, int table, const char *field,
                          cdb__takeover_place **places, cdb__node **nodes) {
  lua_getfield(L, table, field);
  const size_t count = lua_istable(L, -1) ? lua_rawlen(L, -1) : 0;
  *places = calloc(count + 1, sizeof **places);
  if (nodes) *nodes = calloc(count + 1, sizeof **nodes);
  if (!*places || (nodes && !*nodes)) cdb__lua_fail(L, CDB_NOMEM, "no memory for a placement");
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, -1, (lua_Integer)i + 1);
    if (nodes) read_node(L, &(*nodes)[i]);
    (*places)[i] = read_place(L, p);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return count;
}

void cdb__lua_takeover_plan_read(lua_State *L, int table, cdb__lua_takeover_plan *p) {
  static const char *const pages[] = {"first_page", "next_page", "first_part", "next_part"};
  cdb__takeover_plan *plan = &p->plan;
  size_t size;
  int ignored;
  const char *space = text_field(L, p, table, "keyspace", &size);
  plan->space = cdb__keyspace_make(space, size, 0);
  for (int i = 0; i < 4; i++) plan->pages[i] = text_field(L, p, table, pages[i], &size);
  plan->source = shard_field(L, p, table, "source", &p->source);
  plan->integer = cdb__lua_boolean_field(L, table, "integer");
  plan->fold = cdb__lua_boolean_field(L, table, "fold");
  plan->secret = text_field(L, p, table, "secret", &plan->secret_size);
  if (!p->copies) plan->directory = shard_field(L, p, table, "directory", &ignored);
  plan->shard_id = cdb__lua_integer_field(L, table, "shard_id", 0);
  plan->placement = cdb__lua_integer_field(L, table, "placement", 0);
  plan->generation = cdb__lua_integer_field(L, table, "generation", 0);
  plan->dry_run = cdb__lua_boolean_field(L, table, "dry_run");
  plan->page = (size_t)cdb__lua_integer_field(L, table, "page", 0);
  plan->batch = (size_t)cdb__lua_integer_field(L, table, "batch", 0);
  plan->job = cdb__lua_integer_field(L, table, "job", 0);
  plan->item = cdb__lua_integer_field(L, table, "item", 0);
  plan->keep = cdb__lua_integer_field(L, table, "keep", 0);
  plan->home_count = read_places(L, p, table, "homes", &p->homes, &p->nodes);
  plan->other_count = read_places(L, p, table, "others", &p->others, NULL);
  plan->nodes = p->nodes;
  plan->homes = p->homes;
  plan->others = p->others;
}

void cdb__lua_takeover_plan_free(cdb__lua_takeover_plan *p) {
  for (size_t i = 0; i < p->text_count; i++) free(p->texts[i]);
  free(p->texts);
  free(p->shards);
  free(p->nodes);
  free(p->homes);
  free(p->others);
  *p = (cdb__lua_takeover_plan){0};
}
