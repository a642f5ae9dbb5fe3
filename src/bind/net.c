/* HTTP for Lua: clients, and the budgets of accounts. What the fields of a
 * request are is checked by lua/collegedb/net.lua, in front of this. */
#include "net/net.h"

#include <stdlib.h>

#include "bind/bind.h"
#include "bind/net.h"

#define CLIENT_CLASS "collegedb.net.client"
#define BUDGET_CLASS "collegedb.net.budget"
#define ANSWERS_CLASS "collegedb.net.answers"

/* Memory that a raised error gives back. */
typedef struct {
  size_t count;
  cdb__net_answer answers[];
} answer_list;

/* --- budgets ---------------------------------------------------------------------- */

/* core.net_budget(name, limit, window_ms) */
static int open_budget(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  const lua_Integer limit = luaL_checkinteger(L, 2), window = luaL_checkinteger(L, 3);
  luaL_argcheck(L, limit >= 1 && limit <= 1000000, 2, "1 to 1,000,000");
  luaL_argcheck(L, window >= 1, 3, "at least 1");
  cdb__budget **budget = lua_newuserdatauv(L, sizeof *budget, 0);
  *budget = NULL;
  luaL_setmetatable(L, BUDGET_CLASS);
  cdb__fault fault;
  if (cdb__budget_open(budget, name, (int)limit, window, &fault) != CDB_OK)
    return cdb__lua_raise(L, &fault, NULL, NULL);
  return 1;
}

cdb__budget *cdb__lua_check_budget(lua_State *L, int arg) {
  cdb__budget *budget = *(cdb__budget **)luaL_checkudata(L, arg, BUDGET_CLASS);
  if (!budget) cdb__lua_fail(L, CDB_CLOSED, "the rate budget was closed");
  return budget;
}

/* budget:take(): 0, and a request is counted; or in how many ms one may be sent. */
static int take(lua_State *L) {
  const cdb__clock clock = cdb__clock_system();
  lua_pushinteger(L, cdb__budget_take(cdb__lua_check_budget(L, 1), cdb__clock_now(&clock)));
  return 1;
}

/* budget:file(): the path of what other programs share it by, or nil. */
static int budget_file(lua_State *L) {
  lua_pushstring(L, cdb__budget_file(cdb__lua_check_budget(L, 1)));
  return 1;
}

static int close_budget(lua_State *L) {
  cdb__budget **budget = luaL_checkudata(L, 1, BUDGET_CLASS);
  cdb__budget_close(*budget);
  *budget = NULL;
  return 0;
}

/* --- clients ---------------------------------------------------------------------- */

/* core.net_client() */
static int open_client(lua_State *L) {
  cdb__net **net = lua_newuserdatauv(L, sizeof *net, 0);
  *net = NULL;
  luaL_setmetatable(L, CLIENT_CLASS);
  cdb__fault fault;
  if (cdb__net_open(net, &fault) != CDB_OK) return cdb__lua_raise(L, &fault, NULL, NULL);
  return 1;
}

static int close_client(lua_State *L) {
  cdb__net **net = luaL_checkudata(L, 1, CLIENT_CLASS);
  cdb__net_close(*net);
  *net = NULL;
  return 0;
}

static int client_version(lua_State *L) {
  cdb__net **net = luaL_checkudata(L, 1, CLIENT_CLASS);
  if (!*net) return cdb__lua_fail(L, CDB_CLOSED, "the HTTP client was closed");
  lua_pushstring(L, cdb__net_version(*net));
  return 1;
}

static int free_answers(lua_State *L) {
  answer_list *list = luaL_checkudata(L, 1, ANSWERS_CLASS);
  for (size_t i = 0; i < list->count; i++) cdb__net_answer_free(&list->answers[i]);
  list->count = 0;
  return 0;
}

/* --- Ctrl-C ------------------------------------------------------------------------ */

/* A signal handler that is to stop Lua sets a hook, which runs when Lua does. */
typedef struct {
  lua_State *here, *main;
  lua_Hook here_before, main_before;
} watch;

static watch begin_watch(lua_State *L) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  watch w = {.here = L, .main = lua_tothread(L, -1)};
  lua_pop(L, 1);
  w.here_before = lua_gethook(w.here);
  w.main_before = lua_gethook(w.main);
  return w;
}

static bool is_interrupted(void *context) {
  const watch *w = context;
  return lua_gethook(w->here) != w->here_before || lua_gethook(w->main) != w->main_before;
}

/* --- requests ---------------------------------------------------------------------- */

static const char *text_or_null(lua_State *L, int table, const char *name) {
  size_t ignored;
  return cdb__lua_text_field(L, table, name, &ignored);
}

/* The headers, kept alive by their array in the request; the list of them by the stack. */
static const char *const *read_headers(lua_State *L, int table) {
  if (lua_getfield(L, table, "headers") != LUA_TTABLE) {
    lua_pop(L, 1);
    return NULL;
  }
  const lua_Integer count = luaL_len(L, -1);
  const char **list = lua_newuserdatauv(L, sizeof *list * ((size_t)count + 1), 0);
  for (lua_Integer i = 0; i < count; i++) {
    lua_rawgeti(L, -2, i + 1);
    list[i] = lua_tostring(L, -1);
    lua_pop(L, 1);
  }
  list[count] = NULL;
  lua_remove(L, -2);
  return list;
}

/* Fills the request from the table on top; leaves what keeps its memory alive above it. */
static void read_request(lua_State *L, cdb__net_request *request) {
  const int table = lua_gettop(L);
  *request = (cdb__net_request){
      .method = text_or_null(L, table, "method"),
      .url = text_or_null(L, table, "url"),
      .token = text_or_null(L, table, "token"),
      .ca_file = text_or_null(L, table, "ca_file"),
      .write = cdb__lua_boolean_field(L, table, "write"),
      .attempts = (int)cdb__lua_integer_field(L, table, "attempts", 1),
      .deadline_ms = cdb__lua_integer_field(L, table, "deadline_ms", 30000),
      .connect_ms = cdb__lua_integer_field(L, table, "connect_ms", 10000),
      .limit = (size_t)cdb__lua_integer_field(L, table, "limit", 1 << 20),
  };
  request->body = cdb__lua_text_field(L, table, "body", &request->body_size);
  lua_getfield(L, table, "budget");
  if (!lua_isnil(L, -1)) request->budget = cdb__lua_check_budget(L, -1);
  lua_pop(L, 1);
  request->headers = read_headers(L, table);
}

/* Leaves what must stay alive on the stack. */
static cdb__net_request *read_requests(lua_State *L, int array, size_t count) {
  cdb__net_request *requests = lua_newuserdatauv(L, sizeof *requests * (count ? count : 1), 0);
  lua_newtable(L); /* headers that are in use */
  const int alive = lua_gettop(L);
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, array, (lua_Integer)i + 1);
    read_request(L, &requests[i]);
    if (requests[i].headers) lua_rawseti(L, alive, (lua_Integer)i + 1);
    lua_settop(L, alive);
  }
  return requests;
}

static void set_text(lua_State *L, const char *name, const char *text) {
  if (!*text) return;
  lua_pushstring(L, text);
  lua_setfield(L, -2, name);
}

static void push_sent(lua_State *L, cdb__sent sent) {
  if (sent == CDB__SENT_UNKNOWN) lua_pushliteral(L, "unknown");
  else lua_pushboolean(L, sent == CDB__SENT_YES);
  lua_setfield(L, -2, "sent");
}

static void push_answer(lua_State *L, const cdb__net_answer *answer) {
  lua_createtable(L, 0, 10);
  push_sent(L, answer->sent);
  cdb__lua_set_integer(L, "attempts", answer->attempts);
  lua_pushboolean(L, answer->reused);
  lua_setfield(L, -2, "reused");
  set_text(L, "cause", cdb__net_rule_for(answer->cause, false).name);
  if (answer->status) cdb__lua_set_integer(L, "status", answer->status);
  if (answer->retry_after_ms >= 0) {
    lua_pushnumber(L, (double)answer->retry_after_ms / 1000);
    lua_setfield(L, -2, "retry_after");
  }
  set_text(L, "content_type", answer->content_type);
  if (answer->sent == CDB__SENT_YES) {
    lua_pushlstring(L, answer->body ? answer->body : "", answer->size);
    lua_setfield(L, -2, "body");
  }
  if (answer->fault.code == CDB_OK) return;
  set_text(L, "code", cdb_code_name(answer->fault.code));
  set_text(L, "message", answer->fault.message);
}

static answer_list *new_answers(lua_State *L, size_t count) {
  answer_list *list = lua_newuserdatauv(L, sizeof *list + count * sizeof *list->answers, 0);
  memset(list, 0, sizeof *list + count * sizeof *list->answers);
  list->count = count;
  luaL_setmetatable(L, ANSWERS_CLASS);
  return list;
}

/* client:perform(requests, parallel): an answer for each, in their order. */
static int perform(lua_State *L) {
  cdb__net *net = *(cdb__net **)luaL_checkudata(L, 1, CLIENT_CLASS);
  luaL_checktype(L, 2, LUA_TTABLE);
  if (!net) return cdb__lua_fail(L, CDB_CLOSED, "the HTTP client was closed");
  const size_t count = lua_rawlen(L, 2);
  watch w = begin_watch(L);
  const cdb__net_options options = {(int)luaL_checkinteger(L, 3), is_interrupted, &w};
  answer_list *list = new_answers(L, count);
  cdb__net_request *requests = read_requests(L, 2, count);
  cdb__fault fault;
  if (cdb__net_perform(net, requests, list->answers, count, &options, &fault) != CDB_OK)
    return cdb__lua_raise(L, &fault, NULL, NULL);
  /* The hook runs as soon as its state does; in a coroutine that would be later. */
  if (is_interrupted(&w) && lua_gethook(L) == w.here_before) return luaL_error(L, "interrupted!");
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    push_answer(L, &list->answers[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
    cdb__net_answer_free(&list->answers[i]);
  }
  return 1;
}

/* --- classes ----------------------------------------------------------------------- */

static void new_class(lua_State *L, const char *name, lua_CFunction end, const luaL_Reg *methods) {
  luaL_newmetatable(L, name);
  lua_pushcfunction(L, end);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, end);
  lua_setfield(L, -2, "__close");
  lua_newtable(L);
  luaL_setfuncs(L, methods, 0);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

void cdb__lua_open_net(lua_State *L) {
  static const luaL_Reg client[] = {
      {"perform", perform}, {"version", client_version}, {"close", close_client}, {NULL, NULL}};
  static const luaL_Reg budget[] = {
      {"take", take}, {"file", budget_file}, {"close", close_budget}, {NULL, NULL}};
  static const luaL_Reg none[] = {{NULL, NULL}};
  new_class(L, CLIENT_CLASS, close_client, client);
  new_class(L, BUDGET_CLASS, close_budget, budget);
  new_class(L, ANSWERS_CLASS, free_answers, none);
  lua_pushcfunction(L, open_client);
  lua_setfield(L, -2, "net_client");
  lua_pushcfunction(L, open_budget);
  lua_setfield(L, -2, "net_budget");
}
