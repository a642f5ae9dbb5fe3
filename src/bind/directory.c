/* The directory and the placement as Lua sees them: functions on the shard
 * that holds the directory, and the placement class. */
#include <stdlib.h>
#include <string.h>

#include "bind/bind.h"
#include "core/placement.h"
#include "directory/directory.h"

#define PLACEMENT_CLASS "collegedb.placement"

typedef struct {
  size_t count;
  cdb__node nodes[];
} placement;

/* Reads (shard, keyspace, text, secret or nil) from the first four arguments. */
static cdb__shard *check_digest(lua_State *L, uint8_t digest[CDB__DIGEST_SIZE]) {
  bind_shard *shard = bind_check_shard(L, 1);
  size_t space_size, size, secret_size = 0;
  const char *name = luaL_checklstring(L, 2, &space_size), *text = luaL_checklstring(L, 3, &size);
  const char *secret = luaL_optlstring(L, 4, NULL, &secret_size);
  const cdb__keyspace space = {.name = name, .size = space_size};
  cdb__key key;
  cdb__key_text(&key, &space, text, size);
  cdb__key_digest(&key, secret, secret_size, digest);
  return shard->handle;
}

/* core.directory_lookup(shard, keyspace, text, secret): the epoch, and shard id and version if there is an
 * entry. */
static int lookup(lua_State *L) {
  uint8_t digest[CDB__DIGEST_SIZE];
  cdb__fault fault;
  cdb__entry entry;
  int64_t epoch = 0;
  cdb__shard *shard = check_digest(L, digest);
  const int found = cdb__directory_lookup(shard, digest, &entry, &epoch, &fault);
  if (found < 0) return bind_raise(L, &fault, "the directory", NULL);
  lua_pushinteger(L, epoch);
  if (!found) return 1;
  lua_pushinteger(L, entry.shard);
  lua_pushinteger(L, entry.version);
  return 3;
}

/* core.directory_claim(shard, keyspace, text, secret, shard id, epoch): the id that stands, or nil when the
 * epoch changed. */
static int claim(lua_State *L) {
  uint8_t digest[CDB__DIGEST_SIZE];
  cdb__fault fault;
  cdb__entry entry;
  cdb__shard *shard = check_digest(L, digest);
  const cdb__entry wanted = {.shard = luaL_checkinteger(L, 5), .version = 1};
  const int found = cdb__directory_claim(shard, digest, wanted, luaL_checkinteger(L, 6), &entry, &fault);
  if (found < 0) return bind_raise(L, &fault, "the directory", NULL);
  if (!found) return 0;
  lua_pushinteger(L, entry.shard);
  lua_pushinteger(L, entry.version);
  return 2;
}

/* core.digest(keyspace, text, secret): the 16 bytes under which the directory keeps a key. */
static int digest(lua_State *L) {
  size_t space_size, size, secret_size = 0;
  const char *name = luaL_checklstring(L, 1, &space_size), *text = luaL_checklstring(L, 2, &size);
  const char *secret = luaL_optlstring(L, 3, NULL, &secret_size);
  const cdb__keyspace space = {.name = name, .size = space_size};
  uint8_t out[CDB__DIGEST_SIZE];
  cdb__key key;
  cdb__key_text(&key, &space, text, size);
  cdb__key_digest(&key, secret, secret_size, out);
  lua_pushlstring(L, (const char *)out, sizeof out);
  return 1;
}

/* core.sha256(bytes[, secret]): the 32 bytes, or HMAC's with a secret. */
static int sha256(lua_State *L) {
  size_t size, secret_size = 0;
  const char *data = luaL_checklstring(L, 1, &size), *secret = luaL_optlstring(L, 2, NULL, &secret_size);
  uint8_t out[32];
  if (secret) cdb__hmac_sha256(secret, secret_size, data, size, out);
  else cdb__sha256(data, size, out);
  lua_pushlstring(L, (const char *)out, sizeof out);
  return 1;
}

/* core.placement({ { name =, weight = }, … }) */
static int new_placement(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  const size_t count = lua_rawlen(L, 1);
  placement *p = lua_newuserdatauv(L, sizeof *p + count * sizeof *p->nodes, 0);
  p->count = count;
  luaL_setmetatable(L, PLACEMENT_CLASS);
  for (size_t i = 0; i < count; i++) {
    size_t size;
    lua_rawgeti(L, 1, (lua_Integer)i + 1);
    lua_getfield(L, -1, "name");
    lua_getfield(L, -2, "weight");
    const char *name = luaL_checklstring(L, -2, &size);
    p->nodes[i] = (cdb__node){cdb__node_seed(name, size), luaL_optnumber(L, -1, 1)};
    lua_pop(L, 3);
  }
  return 1;
}

/* placement:place(keyspace, text): the index of the node, from 1; nil without nodes. */
static int place(lua_State *L) {
  const placement *p = luaL_checkudata(L, 1, PLACEMENT_CLASS);
  size_t space_size, size;
  const char *name = luaL_checklstring(L, 2, &space_size), *text = luaL_checklstring(L, 3, &size);
  if (p->count == 0) return 0;
  const cdb__keyspace space = cdb__keyspace_make(name, space_size, 0);
  cdb__key key;
  cdb__key_text(&key, &space, text, size);
  lua_pushinteger(L, (lua_Integer)cdb__place(cdb__key_place_hash(&key), p->nodes, p->count) + 1);
  return 1;
}

/* core.hash(text): an integer >= 0, the same in every process; for strategies. */
static int hash(lua_State *L) {
  size_t size;
  const char *text = luaL_checklstring(L, 1, &size);
  const cdb__keyspace space = {.size = 0};
  cdb__key key;
  cdb__key_text(&key, &space, text, size);
  lua_pushinteger(L, (lua_Integer)(cdb__key_place_hash(&key) >> 1));
  return 1;
}

void bind_open_directory(lua_State *L) {
  static const luaL_Reg functions[] = {{"directory_lookup", lookup},
                                       {"directory_claim", claim},
                                       {"digest", digest},
                                       {"sha256", sha256},
                                       {"placement", new_placement},
                                       {"hash", hash},
                                       {NULL, NULL}};
  luaL_newmetatable(L, PLACEMENT_CLASS);
  lua_newtable(L);
  lua_pushcfunction(L, place);
  lua_setfield(L, -2, "place");
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  luaL_setfuncs(L, functions, 0);
}
