/* Runs chunks under a message handler that adds a traceback, with SIGINT turned
 * into a Lua error. It behaves as lua5.4 does, whose lua.c it follows in shape. */
#include "bin/run.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <lauxlib.h>
#include <lualib.h>

/* A signal handler has no argument to reach the state by. */
static lua_State *interrupted_state = NULL;
/* When SIGTERM came first, in milliseconds; 0 before. Only its handler looks. */
static long long asked_to_end = 0;

/* A message may hold what stands in a file of strangers, and a terminal would obey it. Lines and tabs are a
 * traceback's. Behind C2 are the control characters of ISO 6429. */
void cdb__write_message(const char *message) {
  for (const unsigned char *c = (const unsigned char *)message; *c; c++) {
    const int ends_pair = c > (const unsigned char *)message && c[-1] == 0xc2 && *c >= 0x80 && *c < 0xa0;
    if ((*c < ' ' && *c != '\n' && *c != '\t') || *c == 0x7f || ends_pair) fprintf(stderr, "\\x%02x", *c);
    else if (*c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0) fputs("\\xc2", stderr);
    else fputc(*c, stderr);
  }
  fputc('\n', stderr);
  fflush(stderr);
}

void cdb__report(const char *message) {
  fputs("collegedb: ", stderr);
  cdb__write_message(message);
}

static void stop_hook(lua_State *L, lua_Debug *where) {
  (void)where;
  lua_sethook(L, NULL, 0, 0);
  luaL_error(L, "interrupted!");
}

/* timeout(1) sends SIGTERM twice, at once: that is one wish. A later one is another. */
static int is_repeated(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  const long long at = now.tv_sec * 1000LL + now.tv_nsec / 1000000 + 1;
  if (asked_to_end == 0) asked_to_end = at;
  return at - asked_to_end > 1000;
}

/* Only sets a hook, which is what a signal handler may do to a state. A second signal ends the process. */
static void on_signal(int signal_number) {
  int mask = LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT;
  if (signal_number == SIGINT) {
    signal(SIGINT, SIG_DFL);
  } else if (is_repeated()) {
    signal(SIGTERM, SIG_DFL);
    raise(SIGTERM); /* it is kept back until the handler returns */
  }
  lua_sethook(interrupted_state, stop_hook, mask, 1);
}

/* Without SA_RESTART: opening a pipe that nobody writes to ends, and is not begun again. */
static void handle(int signal_number, struct sigaction *before) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  sigaction(signal_number, &action, before);
}

static int add_traceback(lua_State *L) {
  const char *message = lua_tostring(L, 1);
  if (message == NULL) {
    if (luaL_callmeta(L, 1, "__tostring") && lua_type(L, -1) == LUA_TSTRING) return 1;
    message = lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
  }
  luaL_traceback(L, L, message, 1);
  return 1;
}

int cdb__protected_call(lua_State *L, int arguments, int results) {
  int base = lua_gettop(L) - arguments;
  struct sigaction before;
  lua_pushcfunction(L, add_traceback);
  lua_insert(L, base);
  interrupted_state = L;
  handle(SIGINT, &before);
  int failed = lua_pcall(L, arguments, results, base);
  sigaction(SIGINT, &before, NULL);
  lua_remove(L, base);
  return failed;
}

void cdb__forget_interrupt(lua_State *L) {
  if (lua_gethook(L) == stop_hook) lua_sethook(L, NULL, 0, 0);
}

/* The exit status for what loading or calling returned; prints the error. */
static int finish(lua_State *L, int failed) {
  if (failed == LUA_OK) return EXIT_SUCCESS;
  cdb__report(lua_tostring(L, -1));
  lua_pop(L, 1);
  return EXIT_FAILURE;
}

void cdb__create_arg(lua_State *L, int argc, char **argv, int script) {
  if (script == argc) script = 0;
  lua_createtable(L, argc - script - 1, script + 1);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i - script);
  }
  lua_setglobal(L, "arg");
}

/* The arguments come from the table `arg`, which LUA_INIT may have changed. */
static int push_arguments(lua_State *L) {
  if (lua_getglobal(L, "arg") != LUA_TTABLE) luaL_error(L, "'arg' is not a table");
  int count = (int)luaL_len(L, -1);
  luaL_checkstack(L, count + 3, "too many arguments to script");
  for (int i = 1; i <= count; i++) lua_rawgeti(L, -i, i);
  lua_remove(L, -count - 1);
  return count;
}

int cdb__run_init(lua_State *L) {
  const char *name = "=LUA_INIT" LUA_VERSUFFIX;
  const char *init = getenv(name + 1);
  if (init == NULL) {
    name = "=LUA_INIT";
    init = getenv(name + 1);
  }
  if (init == NULL) return EXIT_SUCCESS;
  int failed = init[0] == '@' ? luaL_loadfile(L, init + 1) : luaL_loadbuffer(L, init, strlen(init), name);
  if (failed == LUA_OK) failed = cdb__protected_call(L, 0, 0);
  return finish(L, failed);
}

int cdb__run_string(lua_State *L, const char *text, const char *chunk) {
  int failed = luaL_loadbuffer(L, text, strlen(text), chunk);
  if (failed == LUA_OK) failed = cdb__protected_call(L, 0, 0);
  return finish(L, failed);
}

int cdb__run_library(lua_State *L, const char *module) {
  const char *sign = strchr(module, '=');
  lua_pushlstring(L, module, sign != NULL ? (size_t)(sign - module) : strlen(module));
  const char *name = lua_tostring(L, -1);
  lua_getglobal(L, "require");
  lua_pushstring(L, sign != NULL ? sign + 1 : module);
  int failed = cdb__protected_call(L, 1, 1);
  if (failed == LUA_OK) lua_setglobal(L, name);
  int status = finish(L, failed);
  lua_pop(L, 1);
  return status;
}

int cdb__run_script(lua_State *L, const char *path) {
  int failed = luaL_loadfile(L, path);
  if (failed == LUA_OK) failed = cdb__protected_call(L, push_arguments(L), 0);
  return finish(L, failed);
}

int cdb__run_stdin(lua_State *L) {
  int failed = luaL_loadfile(L, NULL);
  if (failed == LUA_OK) failed = cdb__protected_call(L, 0, 0);
  return finish(L, failed);
}

/* As finish, for what fails around a command: before its own care for interrupts begins, or after it. */
static int finish_command(lua_State *L, int failed) {
  const char *message = lua_tostring(L, -1);
  int interrupted = message != NULL && strstr(message, "interrupted!") != NULL;
  if (!interrupted) return finish(L, failed);
  cdb__report("interrupted");
  lua_pop(L, 1);
  return 128 + SIGINT;
}

int cdb__run_command(lua_State *L, char **words, const char *config) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "collegedb.command");
  int failed = cdb__protected_call(L, 1, 1);
  if (failed != LUA_OK) return finish_command(L, failed);
  lua_getfield(L, -1, "main");
  lua_pushstring(L, words[0]);
  int count = 1;
  if (config != NULL) {
    lua_pushliteral(L, "--config");
    lua_pushstring(L, config);
    count += 2;
  }
  for (char **word = words + 1; *word != NULL; word++, count++) {
    luaL_checkstack(L, 2, "too many arguments");
    lua_pushstring(L, *word);
  }
  handle(SIGTERM, NULL); /* as Ctrl-C: a command says how to go on */
  failed = cdb__protected_call(L, count, 1);
  signal(SIGTERM, SIG_DFL);
  if (failed != LUA_OK) return finish_command(L, failed);
  return (int)lua_tointeger(L, -1);
}
