/* Which lines of our Lua ran, in every process of a coverage build (make coverage): a line hook in C, which
 * coroutines inherit. A source file has a page that all processes share, a byte a line, so that nothing is
 * lost when one is killed. CDB_LINES is the folder of these.
 *
 * The Makefile gives the functions at the end their callers: src/ knows nothing of this. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lualib.h>

enum { LINES = 4096, NAME = 256, SLOTS = 256 };

typedef struct {
  const char *source; /* an address that another chunk may get later: the name decides */
  char name[NAME];
  volatile unsigned char *lines; /* NULL: none of ours */
} page;

static _Thread_local page pages[SLOTS];
static _Thread_local lua_Hook counted; /* a hook for counts that runs beside ours */

/* lua/collegedb/x.lua is "@[collegedb]/x.lua" where it is embedded, scripts/x.lua
 * "@[collegedb]/commands/x.lua". */
static int path_of(const char *source, char *path, size_t size) {
  static const char embedded[] = "@[collegedb]/", commands[] = "commands/", ours[] = "/lua/collegedb/";
  const char *folder = "lua/collegedb/", *rest = NULL;
  if (*source != '@' || strlen(source) >= NAME) return 0;
  if (strncmp(source, embedded, sizeof embedded - 1) == 0) {
    rest = source + sizeof embedded - 1;
    if (strncmp(rest, commands, sizeof commands - 1) == 0) {
      folder = "scripts/";
      rest += sizeof commands - 1;
    }
  } else if ((rest = strstr(source, ours)) != NULL) {
    rest += sizeof ours - 1;
  }
  return rest != NULL && snprintf(path, size, "%s%s", folder, rest) < (int)size;
}

static unsigned char *open_page(const char *source) {
  char path[NAME], file[4 * NAME];
  if (!path_of(source, path, sizeof path)) return NULL;
  for (char *at = path; *at != '\0'; at++)
    if (*at == '/') *at = '%';
  snprintf(file, sizeof file, "%s/%s", CDB_LINES, path);
  const int descriptor = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor < 0) return NULL;
  void *lines = MAP_FAILED;
  if (ftruncate(descriptor, LINES) == 0)
    lines = mmap(NULL, LINES, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  close(descriptor);
  return lines == MAP_FAILED ? NULL : lines;
}

static volatile unsigned char *lines_of(const char *source) {
  page *found = &pages[((uintptr_t)source >> 4) % SLOTS];
  if (found->source == source && strncmp(found->name, source, NAME - 1) == 0) return found->lines;
  if (found->lines != NULL) munmap((void *)(uintptr_t)found->lines, LINES);
  found->source = source;
  strncpy(found->name, source, NAME - 1);
  found->lines = open_page(source);
  return found->lines;
}

static void on_line(lua_State *L, lua_Debug *where) {
  if (where->event == LUA_HOOKCOUNT) {
    if (counted != NULL) counted(L, where);
    return;
  }
  const int line = where->currentline, error = errno;
  if (line < 0 || line >= LINES || !lua_getinfo(L, "S", where)) return;
  volatile unsigned char *lines = lines_of(where->source);
  if (lines != NULL) lines[line] = 1;
  errno = error;
}

/* debug.sethook of specs: the end of theirs is no end of ours. */
static int set_hook(lua_State *L) {
  lua_State *thread = lua_isthread(L, 1) ? lua_tothread(L, 1) : L;
  const int count = lua_gettop(L), first = lua_isthread(L, 1) ? 2 : 1;
  const int ends = lua_isnoneornil(L, first);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, count, 0);
  if (ends) lua_sethook(thread, on_line, LUA_MASKLINE, 0);
  return 0;
}

static int get_hook(lua_State *L) {
  lua_State *thread = lua_isthread(L, 1) ? lua_tothread(L, 1) : L;
  const int count = lua_gettop(L);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  if (lua_gethook(thread) == on_line) return luaL_pushfail(L), 1;
  lua_call(L, count, LUA_MULTRET);
  return lua_gettop(L);
}

static void wrap(lua_State *L, const char *name, lua_CFunction f) {
  lua_getfield(L, -1, name);
  lua_pushcclosure(L, f, 1);
  lua_setfield(L, -2, name);
}

void __lines_sethook(lua_State *L, lua_Hook hook, int mask, int count);
void __lines_openlibs(lua_State *L);
int __lines_core(lua_State *L);
__attribute__((visibility("default"))) int luaopen_collegedb_core(lua_State *L);

static const char started_key = 0;

static void start(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &started_key) == LUA_TNIL) {
    lua_pushboolean(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &started_key);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (lua_getfield(L, -1, LUA_DBLIBNAME) == LUA_TTABLE) {
      wrap(L, "sethook", set_hook);
      wrap(L, "gethook", get_hook);
    }
    lua_pop(L, 2);
    lua_sethook(L, on_line, LUA_MASKLINE, 0);
  }
  lua_pop(L, 1);
}

/* A limit of instructions runs beside ours; what ends the program takes its place. */
void __lines_sethook(lua_State *L, lua_Hook hook, int mask, int count) {
  if (hook == NULL) {
    lua_sethook(L, on_line, LUA_MASKLINE, 0);
  } else if (hook != on_line && mask == LUA_MASKCOUNT && lua_gethook(L) == on_line) {
    counted = hook;
    lua_sethook(L, on_line, LUA_MASKLINE | LUA_MASKCOUNT, count);
  } else {
    lua_sethook(L, hook, mask, count);
  }
}

void __lines_openlibs(lua_State *L) {
  luaL_openlibs(L);
  start(L);
}

int luaopen_collegedb_core(lua_State *L) {
  start(L);
  return __lines_core(L);
}
