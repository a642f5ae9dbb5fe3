/* core.d1: opening a D1 database as a shard. What is wrong with its options was
 * found by lua/collegedb/d1.lua before. */
#include "shard/d1.h"

#include "bind/net.h"

/* One client for all D1 shards of a Lua state: they share connections, and their requests are sent together.
 * Its place in the registry is the address. */
static const char client_key = 0;
#define CLIENT_CLASS "collegedb.d1.client"

typedef struct {
  cdb__net *net;
  lua_State *main;
  lua_Hook before;
} client;

static int end_client(lua_State *L) {
  client *c = luaL_checkudata(L, 1, CLIENT_CLASS);
  cdb__net_close(c->net);
  c->net = NULL;
  return 0;
}

/* Pushes the client, which is made when the first shard is opened. */
static client *push_client(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &client_key) == LUA_TUSERDATA) return lua_touserdata(L, -1);
  lua_pop(L, 1);
  client *c = lua_newuserdatauv(L, sizeof *c, 0);
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  *c = (client){.main = lua_tothread(L, -1)};
  lua_pop(L, 1);
  luaL_setmetatable(L, CLIENT_CLASS);
  cdb__fault fault;
  if (cdb__net_open(&c->net, &fault) != CDB_OK) cdb__lua_raise(L, &fault, NULL, NULL);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &client_key);
  return c;
}

/* A signal handler that is to stop Lua sets a hook of the main thread. */
static void watch(void *context) {
  client *c = context;
  c->before = lua_gethook(c->main);
}

static bool is_interrupted(void *context) {
  const client *c = context;
  return lua_gethook(c->main) != c->before;
}

/* core.d1{ name, url, batch_url, replicas, token, ca_file, deadline_ms, budget } */
static int open_d1(lua_State *L) {
  size_t ignored;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  client *c = push_client(L);
  cdb__d1_options options = {
      .net = c->net,
      .name = cdb__lua_text_field(L, 1, "name", &ignored),
      .url = cdb__lua_text_field(L, 1, "url", &ignored),
      .batch_url = cdb__lua_text_field(L, 1, "batch_url", &ignored),
      .replicas = cdb__lua_boolean_field(L, 1, "replicas"),
      .token = cdb__lua_text_field(L, 1, "token", &ignored),
      .ca_file = cdb__lua_text_field(L, 1, "ca_file", &ignored),
      .deadline_ms = cdb__lua_integer_field(L, 1, "deadline_ms", 40000),
      .watch = watch,
      .interrupted = is_interrupted,
      .context = c,
  };
  lua_getfield(L, 1, "budget");
  if (!lua_isnil(L, -1)) options.budget = cdb__lua_check_budget(L, -1);
  cdb__lua_shard *shard = cdb__lua_new_shard(L, options.name, 2);
  cdb__fault fault;
  if (cdb__d1_open(&shard->handle, &options, &fault) != CDB_OK)
    return cdb__lua_raise(L, &fault, shard->name, NULL);
  shard->fence = true;
  cdb__lua_adopt_shard(L, shard);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, -2, 1);
  lua_pushvalue(L, 3);
  lua_setiuservalue(L, -2, 2);
  return 1;
}

void cdb__lua_open_d1(lua_State *L) {
  luaL_newmetatable(L, CLIENT_CLASS);
  lua_pushcfunction(L, end_client);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
  lua_pushcfunction(L, open_d1);
  lua_setfield(L, -2, "d1");
}
