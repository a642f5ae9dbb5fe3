/* gc_stress: Lua's collector at its most aggressive, to find values that C holds and Lua does not know of.
 *
 *     LUA_INIT="package.loadlib('…/gc_stress.so', 'luaopen_gc_stress')(20)"
 *
 * With n > 0, each n-th allocation of a value fails once: then Lua collects everything, and asks again. With
 * 0 the collector never rests instead: a cycle is followed by the next, which also calls finalizers at once.
 */
#include <lauxlib.h>
#include <stdint.h>

typedef struct {
  lua_Alloc inner;
  void *context;
  lua_Integer every, left;
  int failed; /* the last one was: the next is asked for again */
} stress;

static stress the_stress; /* outlives the state, which frees itself through it */

static void *allocate(void *context, void *block, size_t old_size, size_t size) {
  stress *s = context;
  const int is_value =
      block == NULL && size > 0 && old_size != 0; /* its type; a luaL_Buffer's are not asked for twice */
  if (!is_value || s->failed || --s->left > 0) {
    if (is_value) s->failed = 0;
    return s->inner(s->context, block, old_size, size);
  }
  s->left = s->every;
  s->failed = 1;
  return NULL;
}

__attribute__((visibility("default"))) int luaopen_gc_stress(lua_State *L);

int luaopen_gc_stress(lua_State *L) {
  enum { PAUSE = 1, WORK = 1000, STEP = 8 }; /* per cent, per cent, log2 of bytes; 0 would change nothing */
  const lua_Integer every = luaL_optinteger(L, 1, 0);
  if (every <= 0) {
    lua_gc(L, LUA_GCINC, PAUSE, WORK, STEP);
    return 0;
  }
  if (the_stress.inner != NULL) return luaL_error(L, "gc_stress is for one state");
  the_stress.every = the_stress.left = every;
  the_stress.inner = lua_getallocf(L, &the_stress.context);
  lua_setallocf(L, allocate, &the_stress);
  return 0;
}
