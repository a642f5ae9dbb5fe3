/* scarcity: memory that runs out, for tests of what happens then. The file is preloaded, so that its malloc,
 * calloc, realloc and strdup stand before those of libc, and is a Lua module as well:
 *
 *     LD_PRELOAD=build/spec/scarcity.so lua5.4 …
 *     local scarcity = require "scarcity"         -- before SQLite is used
 *     local done, result, count, struck = scarcity.call({ at = 17, of = "sqlite own", lasting = true }, f, …)
 *     scarcity.live() -- blocks of CollegeDB's own C code, and bytes of SQLite's
 *
 * While f runs (as under pcall), allocations are counted by who asked: `lua`, `sqlite`, `own` (CollegeDB's C
 * code), `libc` (for fopen and the like), `net` (libcurl and jansson), told by the return address. The one
 * with the number `at` fails, with `lasting` also all after it; 0 only counts. When Lua is refused, it
 * collects its garbage and asks again, and is refused again, unless `gently` is set. `struck` is how often it
 * was refused who; scarcity.tell() says on standard error where that was.
 *
 * Without `at` nothing is refused: tests decide for a short while only, and for calls that they make. */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <lauxlib.h>
#include <link.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define CALLER __builtin_return_address(0)

enum { LUA, SQLITE, OWN, LIBC, NET, SOURCES };
static const char *const names[SOURCES] = {"lua", "sqlite", "own", "libc", "net"};

/* --- who asks -------------------------------------------------------------------------- */

typedef struct {
  uintptr_t from, to;
  int source;
} range;

enum { RANGES = 64 };
static range ranges[RANGES];
static int range_count;

/* Where an object belongs; -1 where it is not counted. */
static int source_of_object(const char *name) {
  if (!*name || strstr(name, "/liblua5.4")) return LUA; /* the program itself has no name */
  if (strstr(name, "/libsqlite3")) return SQLITE;
  if (strstr(name, "/collegedb/core.so")) return OWN;
  if (strstr(name, "/libc.so")) return LIBC;
  if (strstr(name, "/libcurl") || strstr(name, "/libjansson")) return NET;
  return -1;
}

static int add_object(struct dl_phdr_info *info, size_t size, void *context) {
  (void)size;
  (void)context;
  const int source = source_of_object(info->dlpi_name);
  for (int i = 0; source >= 0 && i < info->dlpi_phnum && range_count < RANGES; i++) {
    const ElfW(Phdr) *part = &info->dlpi_phdr[i];
    if (part->p_type != PT_LOAD || !(part->p_flags & PF_X)) continue;
    const uintptr_t from = info->dlpi_addr + part->p_vaddr;
    ranges[range_count++] = (range){from, from + part->p_memsz, source};
  }
  return 0;
}

/* Libraries may have come since the last look. */
static void look_at_objects(void) {
  range_count = 0;
  dl_iterate_phdr(add_object, NULL);
}

static int source_of(const void *caller) {
  const uintptr_t at = (uintptr_t)caller;
  for (int i = 0; i < range_count; i++)
    if (at >= ranges[i].from && at < ranges[i].to) return ranges[i].source;
  return -1;
}

/* --- what is live ----------------------------------------------------------------------- */

/* Blocks of OWN, by address; linear probing, and 1 stands where one was. */
enum { SLOTS = 1 << 16 };
static uintptr_t blocks[SLOTS];
static const void *askers[SLOTS];
static long live;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static size_t slot_of(uintptr_t block) { return (block >> 4) * 0x9e3779b97f4a7c15u >> 48; }

static void note(void *block, const void *caller) {
  if (!block || source_of(caller) != OWN) return;
  pthread_mutex_lock(&mutex);
  size_t at = slot_of((uintptr_t)block);
  while (blocks[at] > 1) at = (at + 1) % SLOTS;
  blocks[at] = (uintptr_t)block;
  askers[at] = caller;
  live++;
  pthread_mutex_unlock(&mutex);
}

static void drop(const void *block) {
  if (!block || !live) return;
  pthread_mutex_lock(&mutex);
  size_t at = slot_of((uintptr_t)block);
  while (blocks[at] && blocks[at] != (uintptr_t)block) at = (at + 1) % SLOTS;
  if (blocks[at]) {
    blocks[at] = 1;
    live--;
  }
  pthread_mutex_unlock(&mutex);
}

/* --- refusing --------------------------------------------------------------------------- */

enum { FRAMES = 24 };
static struct {
  bool armed, lasting, gently, again; /* again: Lua is to be refused what it asks for a second time */
  unsigned of;                        /* a bit for each source that counts */
  long at, count, struck;
  int who; /* was refused first */
  void *frames[FRAMES];
  int frame_count;
} plan;

static bool refuse(int source) {
  if (plan.again && source == LUA) {
    plan.again = false;
    return true;
  }
  plan.count++;
  if (!plan.at || plan.count < plan.at || (plan.count > plan.at && !plan.lasting)) return false;
  plan.again = source == LUA && !plan.gently && !plan.lasting;
  return true;
}

static bool refused(const void *caller) {
  if (!plan.armed) return false;
  const int source = source_of(caller);
  if (source < 0 || !(plan.of >> source & 1)) return false;
  pthread_mutex_lock(&mutex);
  const bool is_refused = plan.armed && refuse(source);
  if (is_refused && plan.struck++ == 0) {
    plan.who = source;
    plan.frame_count = backtrace(plan.frames, FRAMES);
  }
  pthread_mutex_unlock(&mutex);
  if (is_refused) errno = ENOMEM;
  return is_refused;
}

/* --- libc's functions -------------------------------------------------------------------- */

static void *(*real_malloc)(size_t), *(*real_calloc)(size_t, size_t), *(*real_realloc)(void *, size_t);
static void (*real_free)(void *);

/* For what dlsym itself asks for while it looks for them. */
static _Alignas(16) char early[4096];
static size_t early_used;

static void *early_block(size_t size) {
  void *block = early + early_used;
  early_used += (size + 15) / 16 * 16;
  return early_used <= sizeof early ? block : NULL;
}

static bool is_early(const void *block) {
  return (const char *)block >= early && (const char *)block < early + sizeof early;
}

static bool find_real(void) {
  static bool looking;
  if (real_free) return true;
  if (looking) return false;
  looking = true;
  *(void **)&real_malloc = dlsym(RTLD_NEXT, "malloc");
  *(void **)&real_calloc = dlsym(RTLD_NEXT, "calloc");
  *(void **)&real_realloc = dlsym(RTLD_NEXT, "realloc");
  *(void **)&real_free = dlsym(RTLD_NEXT, "free");
  looking = false;
  return true;
}

static void *get(size_t size, const void *caller) {
  if (!find_real()) return early_block(size);
  void *block = refused(caller) ? NULL : real_malloc(size);
  note(block, caller);
  return block;
}

EXPORT void *malloc(size_t size) { return get(size, CALLER); }

EXPORT void *calloc(size_t count, size_t size) {
  if (!find_real()) return early_block(count * size); /* it is zero already */
  void *block = refused(CALLER) ? NULL : real_calloc(count, size);
  note(block, CALLER);
  return block;
}

EXPORT void *realloc(void *old, size_t size) {
  if (!old) return get(size, CALLER);
  if (!find_real() || is_early(old)) return NULL;
  if (size && refused(CALLER)) return NULL;
  drop(old); /* before another thread can get its address */
  void *block = real_realloc(old, size);
  if (size) note(block ? block : old, CALLER);
  return block;
}

EXPORT void free(void *block) {
  if (!block || is_early(block) || !find_real()) return;
  drop(block);
  real_free(block);
}

static char *copy(const char *text, size_t size, const void *caller) {
  char *block = get(size + 1, caller);
  if (!block) return NULL;
  memcpy(block, text, size);
  block[size] = '\0';
  return block;
}

EXPORT char *strdup(const char *text) { return copy(text, strlen(text), CALLER); }
EXPORT char *strndup(const char *text, size_t size) { return copy(text, strnlen(text, size), CALLER); }

/* What is started is not to be starved. */
__attribute__((constructor)) static void begin(void) {
  find_real();
  unsetenv("LD_PRELOAD");
}

/* --- the module ---------------------------------------------------------------------------- */

static long integer_field(lua_State *L, const char *name) {
  lua_getfield(L, 1, name);
  const long value = (long)luaL_optinteger(L, -1, 0);
  lua_pop(L, 1);
  return value;
}

static bool boolean_field(lua_State *L, const char *name) {
  lua_getfield(L, 1, name);
  const bool value = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return value;
}

static unsigned sources_field(lua_State *L) {
  unsigned sources = 0;
  lua_getfield(L, 1, "of");
  const char *words = luaL_optstring(L, -1, "lua sqlite own libc");
  for (int i = 0; i < SOURCES; i++)
    if (strstr(words, names[i])) sources |= 1u << i;
  lua_pop(L, 1);
  return sources;
}

/* scarcity.call(options, f, …) → done, result or error, count, struck: how often, who */
static int call(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checkany(L, 2);
  look_at_objects();
  plan.of = sources_field(L);
  plan.at = integer_field(L, "at");
  plan.lasting = boolean_field(L, "lasting");
  plan.gently = boolean_field(L, "gently");
  plan.again = false;
  plan.count = plan.struck = 0;
  plan.armed = true;
  const int status = lua_pcall(L, lua_gettop(L) - 2, 1, 0);
  plan.armed = false;
  lua_pushboolean(L, status == LUA_OK);
  lua_insert(L, -2);
  lua_pushinteger(L, plan.count);
  lua_pushinteger(L, plan.struck);
  lua_pushstring(L, plan.struck ? names[plan.who] : NULL);
  return 5;
}

/* scarcity.live() → blocks of own C code, bytes of SQLite's */
static int count_live(lua_State *L) {
  look_at_objects();
  lua_pushinteger(L, live);
  lua_pushinteger(L, sqlite3_memory_used());
  return 2;
}

/* scarcity.tell(): where it was refused first, and what is left of own blocks, on standard error */
static int tell(lua_State *L) {
  (void)L;
  if (plan.struck) backtrace_symbols_fd(plan.frames, plan.frame_count, STDERR_FILENO);
  for (int i = 0; i < SLOTS; i++)
    if (blocks[i] > 1) backtrace_symbols_fd((void *const *)&askers[i], 1, STDERR_FILENO);
  return 0;
}

EXPORT int luaopen_scarcity(lua_State *L);

int luaopen_scarcity(lua_State *L) {
  static const luaL_Reg functions[] = {{"call", call}, {"live", count_live}, {"tell", tell}, {NULL, NULL}};
  void *frames[2];
  /* Every allocation of SQLite's is to come here: none out of memory that it keeps. */
  sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0);
  sqlite3_config(SQLITE_CONFIG_PAGECACHE, NULL, 0, 0);
  backtrace(frames, 2); /* loads what it needs now */
  look_at_objects();
  luaL_newlib(L, functions);
  return 1;
}
