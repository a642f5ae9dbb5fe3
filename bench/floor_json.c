/* jansson by itself, for what reading the answers of D1 is compared with. */
#include <jansson.h>
#include <lauxlib.h>
#include <time.h>

#include "floor.h"

static double processor_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* floor.json(text, times): json_loads, and forgetting it again; processor seconds a time. */
int bench_json(lua_State *L) {
  const char *text = luaL_checkstring(L, 1);
  const lua_Integer times = luaL_checkinteger(L, 2);
  const double start = processor_seconds();
  for (lua_Integer i = 0; i < times; i++) {
    json_t *document = json_loads(text, 0, NULL);
    if (!document) return luaL_error(L, "it is no JSON");
    json_decref(document);
  }
  lua_pushnumber(L, (processor_seconds() - start) / (double)times);
  return 1;
}

/* floor.processor(): seconds of the processor that this thread has used. */
int bench_processor(lua_State *L) {
  lua_pushnumber(L, processor_seconds());
  return 1;
}
