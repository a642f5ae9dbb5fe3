/* Waiting for others: what meets their changes again and again lets some time pass in between. */
#include <time.h>

#include "bind/bind.h"

/* core.pause(ms), also of a part of one: half of it to all of it, by chance, so that of two that meet one
 * comes first. A signal ends it. */
static int pause_for(lua_State *L) {
  lua_Number most = luaL_checknumber(L, 1);
  if (!(most > 0)) return 0;
  if (most > 60000) most = 60000;
  const uint64_t half = (uint64_t)(most * 500000);
  const uint64_t length = half + cdb__random_seed() % (half + 1);
  const struct timespec time = {(time_t)(length / 1000000000), (long)(length % 1000000000)};
  nanosleep(&time, NULL);
  return 0;
}

/* core.now(): milliseconds that only go forward. */
static int now(lua_State *L) {
  lua_pushinteger(L, cdb__clock_ticks() / 1000000);
  return 1;
}

void cdb__lua_open_pause(lua_State *L) {
  lua_pushcfunction(L, pause_for);
  lua_setfield(L, -2, "pause");
  lua_pushcfunction(L, now);
  lua_setfield(L, -2, "now");
}
