/* Calling scripts of users with a bound on their instructions. A guard against
 * mistakes, not a wall: a script that catches errors can go on. */
#include <limits.h>

#include "bind/bind.h"

/* Where the script is just now, not where it was called from. */
static void on_limit(lua_State *L, lua_Debug *where) {
  lua_getinfo(L, "Sl", where);
  if (where->currentline > 0) lua_pushfstring(L, "%s:%d: ", where->short_src, where->currentline);
  else lua_pushliteral(L, "");
  lua_pushfstring(L, "it ran more than %d instructions (script_limit); is there a loop without end?",
                  lua_gethookcount(L));
  lua_concat(L, 2);
  lua_error(L);
}

/* core.call_limited(limit, f, …): as pcall; without end where the limit is the largest integer. A hook of the
 * host's is put back afterwards, whatever made it. */
static int call_limited(lua_State *L) {
  const lua_Integer limit = luaL_checkinteger(L, 1);
  const lua_Hook hook = lua_gethook(L);
  const int mask = lua_gethookmask(L), count = lua_gethookcount(L);
  if (limit != LUA_MAXINTEGER)
    lua_sethook(L, on_limit, LUA_MASKCOUNT, limit > INT_MAX ? INT_MAX : (int)limit);
  const int status = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0);
  lua_sethook(L, hook, mask, count);
  lua_pushboolean(L, status == LUA_OK);
  lua_replace(L, 1);
  return lua_gettop(L);
}

void cdb__lua_open_limit(lua_State *L) {
  lua_pushcfunction(L, call_limited);
  lua_setfield(L, -2, "call_limited");
}
