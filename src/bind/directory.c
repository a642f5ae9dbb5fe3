/* The directory and the placement as Lua sees them: functions on the shard
 * that holds the directory, and the placement class. */
#include <stdlib.h>
#include <string.h>

#include "bind/bind.h"

cdb__lua_directory *cdb__lua_check_directory(lua_State *L, int arg) {
  cdb__lua_directory *directory = luaL_checkudata(L, arg, CDB__DIRECTORY_CLASS);
  if (!directory->shard->handle) cdb__lua_fail(L, CDB_CLOSED, "the directory was closed");
  return directory;
}

/* core.directory(shard, secret or nil): the entries of the directory in a shard. */
static int new_directory(lua_State *L) {
  cdb__lua_shard *shard = cdb__lua_check_shard(L, 1);
  cdb__lua_directory *directory = lua_newuserdatauv(L, sizeof *directory, 2);
  memset(directory, 0, sizeof *directory);
  directory->shard = shard;
  directory->entries.shard = shard->handle;
  directory->secret = lua_tolstring(L, 2, &directory->secret_size);
  luaL_setmetatable(L, CDB__DIRECTORY_CLASS);
  for (int i = 1; i <= 2; i++) { /* they keep alive what the fields point to */
    lua_pushvalue(L, i);
    lua_setiuservalue(L, -2, i);
  }
  return 1;
}

/* Reads (directory, keyspace, text) from the first three arguments. */
static cdb__lua_directory *check_digest(lua_State *L, uint8_t digest[CDB__DIGEST_SIZE]) {
  cdb__lua_directory *directory = cdb__lua_check_directory(L, 1);
  size_t space_size, size;
  const char *name = luaL_checklstring(L, 2, &space_size), *text = luaL_checklstring(L, 3, &size);
  const cdb__keyspace space = {.name = name, .size = space_size};
  cdb__key key;
  cdb__key_text(&key, &space, text, size);
  cdb__key_digest(&key, directory->secret, directory->secret_size, digest);
  return directory;
}

/* directory:lookup(keyspace, text): the epoch, and shard id and version if there is an entry. */
static int lookup(lua_State *L) {
  uint8_t digest[CDB__DIGEST_SIZE];
  cdb__fault fault;
  cdb__entry entry;
  cdb__lua_directory *directory = check_digest(L, digest);
  const int found = cdb__directory_lookup(&directory->entries, digest, &entry, &fault);
  if (found < 0) return cdb__lua_raise(L, &fault, directory->shard->name, NULL);
  lua_pushinteger(L, directory->entries.epoch);
  if (!found) return 1;
  lua_pushinteger(L, entry.shard);
  lua_pushinteger(L, entry.version);
  return 3;
}

/* directory:claim(keyspace, text, shard id, epoch): id and version that stand, or nothing when the epoch
 * changed. */
static int claim(lua_State *L) {
  uint8_t digest[CDB__DIGEST_SIZE];
  cdb__fault fault;
  cdb__entry entry;
  cdb__lua_directory *directory = check_digest(L, digest);
  const cdb__entry wanted = {.shard = luaL_checkinteger(L, 4), .version = 1};
  const int found =
      cdb__directory_claim(&directory->entries, digest, wanted, luaL_checkinteger(L, 5), &entry, &fault);
  if (found < 0) return cdb__lua_raise(L, &fault, directory->shard->name, NULL);
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

static int compare_digests(const void *a, const void *b) { return memcmp(a, b, CDB__DIGEST_SIZE); }

/* core.digests(keyspace, texts, secret): those of many keys behind one another, in the order of the entries.
 */
static int digests(lua_State *L) {
  size_t space_size, secret_size = 0;
  const char *name = luaL_checklstring(L, 1, &space_size);
  luaL_checktype(L, 2, LUA_TTABLE);
  const char *secret = luaL_optlstring(L, 3, NULL, &secret_size);
  const cdb__keyspace space = cdb__keyspace_make(name, space_size, 0);
  const size_t count = lua_rawlen(L, 2);
  luaL_Buffer buffer;
  char *out = luaL_buffinitsize(L, &buffer, (count ? count : 1) * CDB__DIGEST_SIZE);
  for (size_t i = 0; i < count; i++) {
    cdb__key key;
    lua_rawgeti(L, 2, (lua_Integer)i + 1);
    size_t size;
    const char *text = luaL_checklstring(L, -1, &size);
    cdb__key_text(&key, &space, text, size);
    cdb__key_digest(&key, secret, secret_size, (uint8_t *)out + i * CDB__DIGEST_SIZE);
    lua_pop(L, 1);
  }
  qsort(out, count, CDB__DIGEST_SIZE, compare_digests);
  luaL_pushresultsize(&buffer, count * CDB__DIGEST_SIZE);
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
  cdb__lua_placement *p = lua_newuserdatauv(L, sizeof *p + count * sizeof *p->nodes, 0);
  p->count = count;
  luaL_setmetatable(L, CDB__PLACEMENT_CLASS);
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
  const cdb__lua_placement *p = luaL_checkudata(L, 1, CDB__PLACEMENT_CLASS);
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

void cdb__lua_open_directory(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"directory", new_directory}, {"digest", digest}, {"digests", digests}, {"sha256", sha256},
      {"placement", new_placement}, {"hash", hash},     {NULL, NULL}};
  static const luaL_Reg methods[] = {{"lookup", lookup}, {"claim", claim}, {NULL, NULL}};
  luaL_newmetatable(L, CDB__DIRECTORY_CLASS);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  luaL_newmetatable(L, CDB__PLACEMENT_CLASS);
  lua_newtable(L);
  lua_pushcfunction(L, place);
  lua_setfield(L, -2, "place");
  lua_setfield(L, -2, "__index");
  lua_pop(L, 2);
  luaL_setfuncs(L, functions, 0);
}
