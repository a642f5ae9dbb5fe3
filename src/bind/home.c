/* The short way to a key that the cache does not know: the directory's entry,
 * else its home. Lua decides when this way is right, and sets it for one epoch;
 * whatever is not plain goes to lua/collegedb/router.lua. */
#include <stdlib.h>
#include <string.h>

#include "bind/bind.h"

void cdb__lua_homes_free(cdb__lua_db *db) {
  for (size_t i = 0; i < db->homes.placement_count; i++) {
    free(db->homes.placements[i].global_index);
    free(db->homes.placements[i].integer_index);
  }
  free(db->homes.placements);
  free(db->homes.ids);
  free(db->homes.members);
  db->homes = (cdb__lua_homes){0};
}

/* The array of integers in a field of the table on top, less `base`. */
static int *int_field(lua_State *L, const char *name, int base) {
  lua_getfield(L, -1, name);
  const size_t count = lua_rawlen(L, -1);
  int *out = calloc(count + 1, sizeof *out);
  for (size_t i = 0; out && i < count; i++) {
    lua_rawgeti(L, -1, (lua_Integer)i + 1);
    out[i] = (int)lua_tointeger(L, -1) - base;
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return out;
}

static const cdb__lua_placement *placement_field(lua_State *L, const char *name) {
  lua_getfield(L, -1, name);
  const cdb__lua_placement *placement = luaL_checkudata(L, -1, CDB__PLACEMENT_CLASS);
  lua_pop(L, 1);
  return placement;
}

static void read_members(lua_State *L, const cdb__lua_db *db, cdb__lua_homes *homes) {
  lua_getfield(L, 2, "members");
  homes->member_count = lua_rawlen(L, -1);
  homes->members = calloc(homes->member_count + 1, sizeof *homes->members);
  for (size_t i = 0; homes->members && i < homes->member_count; i++) {
    lua_rawgeti(L, -1, (lua_Integer)i + 1);
    size_t size;
    const char *name = lua_tolstring(L, -1, &size);
    homes->members[i] = cdb__keyspace_make(name, size, db->seed).cache_seed;
    lua_pop(L, 1);
  }
}

/* The array of { global, integers, global_index, integer_index } in a field of the table at 2. */
static bool read_placements(lua_State *L, cdb__lua_homes *homes) {
  lua_getfield(L, 2, "placements");
  const size_t count = lua_rawlen(L, -1);
  homes->placements = calloc(count + 1, sizeof *homes->placements);
  bool complete = homes->placements != NULL;
  for (size_t i = 0; complete && i < count; i++) {
    lua_rawgeti(L, -1, (lua_Integer)i + 1);
    cdb__lua_homes_of *of = &homes->placements[i];
    of->global = placement_field(L, "global");
    of->integers = placement_field(L, "integers");
    homes->placement_count = i + 1;
    of->global_index = int_field(L, "global_index", 1);
    of->integer_index = int_field(L, "integer_index", 1);
    complete = of->global_index && of->integer_index;
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return complete;
}

/* core.set_homes(db, nil or { epoch, directory, placements, ids, members }) */
int cdb__lua_set_homes(lua_State *L) {
  cdb__lua_db *db = cdb__lua_check_db(L, 1);
  lua_settop(L, 2);
  cdb__lua_homes_free(db);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, 1, 5);
  if (!lua_istable(L, 2)) return 0;
  cdb__lua_homes *homes = &db->homes;
  lua_getfield(L, 2, "directory");
  homes->directory = cdb__lua_check_directory(L, -1);
  lua_getfield(L, 2, "epoch");
  homes->epoch = lua_tointeger(L, -1);
  lua_settop(L, 2);
  const bool complete = read_placements(L, homes);
  lua_getfield(L, 2, "ids");
  homes->ids = calloc((size_t)db->shard_count + 1, sizeof *homes->ids);
  for (int i = 0; homes->ids && i < db->shard_count; i++) {
    lua_rawgeti(L, -1, i + 1);
    homes->ids[i] = lua_tointeger(L, -1);
    lua_pop(L, 1);
  }
  read_members(L, db, homes);
  homes->set = complete && homes->ids && homes->members;
  return 0;
}

static int index_of_id(const cdb__lua_db *db, int64_t id) {
  for (int i = 0; i < db->shard_count; i++)
    if (db->homes.ids[i] == id) return i;
  return -1;
}

static bool has_homes(const cdb__lua_homes *homes, const cdb__keyspace *space) {
  if (space->size && memchr(space->name, '\0', space->size)) return false; /* a shard's own keyspace */
  for (size_t i = 0; i < homes->member_count; i++)
    if (homes->members[i] == space->cache_seed) return false;
  return true;
}

static int home_in(const cdb__lua_homes_of *of, const cdb__key *key) {
  const bool global = key->space->size == 0;
  const cdb__lua_placement *nodes = global ? of->global : of->integers;
  if (nodes->count == 0) return -1;
  return (global ? of->global_index
                 : of->integer_index)[cdb__place(cdb__key_place_hash(key), nodes->nodes, nodes->count)];
}

/* Has the key an entry in the directory? */
static bool find_entry(lua_State *L, cdb__lua_directory *directory, const cdb__key *key, cdb__entry *out) {
  uint8_t digest[CDB__DIGEST_SIZE];
  cdb__fault fault;
  if (cdb__directory_is_empty(&directory->entries)) return false;
  cdb__key_digest(key, directory->secret, directory->secret_size, digest);
  const int found = cdb__directory_lookup(&directory->entries, digest, out, &fault);
  if (found < 0) cdb__lua_raise(L, &fault, directory->shard->name, NULL);
  return found;
}

int cdb__lua_find_home(lua_State *L, cdb__lua_db *db, const cdb__key *key, int *why) {
  const cdb__lua_homes *homes = &db->homes;
  const cdb__keyspace *space = key->space;
  if (!homes->set || !homes->directory->shard->handle) return -1;
  if (!has_homes(homes, space)) return -1;
  cdb__entry entry;
  const bool found = find_entry(L, homes->directory, key, &entry);
  if (homes->directory->entries.epoch != homes->epoch) return -1;
  *why = found ? CDB__DIRECTORY : CDB__HOME;
  if (found) return index_of_id(db, entry.shard);
  const int home = home_in(&homes->placements[0], key);
  for (size_t i = 1; i < homes->placement_count; i++)
    if (home_in(&homes->placements[i], key) != home) return -1;
  return home;
}
