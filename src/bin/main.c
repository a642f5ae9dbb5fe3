/* The program `collegedb`: runs a Lua script as lua5.4 does, with collegedb
 * ready to be required, or a command by name. main itself is tiny; the work runs
 * protected, so that whatever fails ends in one message and an exit status. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lualib.h>

#include "bin/host.h"
#include "bin/interactive.h"
#include "bin/options.h"
#include "bin/run.h"
#include "collegedb.h"
#include "embed.h"

static int is_command(const char *name) {
  size_t length = strlen(name);
  int is_file = length >= 4 && strcmp(name + length - 4, ".lua") == 0;
  return !is_file && strchr(name, '/') == NULL && strcmp(name, "-") != 0;
}

static int print_usage(const cdb__options *options) {
  const char *form =
      options->needs_argument ? "collegedb: '%s' needs argument\n" : "collegedb: unknown option '%s'\n";
  lua_writestringerror(form, options->unknown);
  lua_writestringerror("%s", cdb__usage);
  return 2;
}

static void print_version(void) {
  puts("collegedb " CDB_VERSION " (" LUA_RELEASE ")");
  fflush(stdout);
}

static void open_state(lua_State *L, const cdb__options *options) {
  if (options->ignore_environment) { /* luaL_openlibs looks for this one */
    lua_pushboolean(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
  }
  luaL_checkversion(L);
  luaL_openlibs(L);
  cdb__embed_install(L);
  cdb__host_install(L);
  lua_gc(L, LUA_GCGEN, 0, 0); /* as lua5.4 does */
}

/* What the first word that is no option names. */
static int run_named(lua_State *L, const cdb__options *options, char **argv) {
  char *name = argv[options->first];
  if (!options->is_file && is_command(name))
    return cdb__run_command(L, argv + options->first, options->config);
  int from_stdin = strcmp(name, "-") == 0 && !options->is_file;
  return cdb__run_script(L, from_stdin ? NULL : name);
}

static int run(lua_State *L, const cdb__options *options, int argc, char **argv) {
  int named = options->first < argc;
  int nothing = !named && !options->statements && !options->version;
  int interactive = options->interactive || (nothing && isatty(STDIN_FILENO));
  int command = named && !options->is_file && is_command(argv[options->first]);
  if (interactive && !options->version) print_version();
  int status = options->ignore_environment ? EXIT_SUCCESS : cdb__run_init(L);
  if (status == EXIT_SUCCESS && (interactive || options->config != NULL) && !command)
    status = cdb__open_globals(L, options->config, interactive && !named);
  if (status == EXIT_SUCCESS) status = cdb__run_options(L, options->first, argv);
  if (status == EXIT_SUCCESS && named) status = run_named(L, options, argv);
  if (status != EXIT_SUCCESS) return status;
  if (interactive) cdb__interact(L);
  else if (nothing) cdb__run_stdin(L); /* its failure is no failure of the program: so it is in lua5.4 */
  return EXIT_SUCCESS;
}

/* argc and argv as light userdata and integer; returns the exit status. */
static int protected_main(lua_State *L) {
  int argc = (int)lua_tointeger(L, 1);
  char **argv = (char **)lua_touserdata(L, 2);
  cdb__options options;
  int status = EXIT_SUCCESS;
  cdb__parse_options(&options, argc, argv);
  if (options.unknown != NULL) {
    status = print_usage(&options);
  } else if (options.help) {
    lua_writestring(cdb__usage, strlen(cdb__usage));
  } else {
    if (options.version) print_version();
    open_state(L, &options);
    cdb__create_arg(L, argc, argv, options.first);
    status = run(L, &options, argc, argv);
  }
  lua_pushinteger(L, status);
  return 1;
}

int main(int argc, char **argv) {
  lua_State *L = luaL_newstate();
  if (L == NULL) {
    lua_writestringerror("%s", "collegedb: cannot create a Lua state: not enough memory\n");
    return EXIT_FAILURE;
  }
  lua_pushcfunction(L, protected_main);
  lua_pushinteger(L, argc);
  lua_pushlightuserdata(L, argv);
  int failed = lua_pcall(L, 2, 1, 0);
  if (failed != LUA_OK) cdb__report(lua_tostring(L, -1));
  int status = failed != LUA_OK ? EXIT_FAILURE : (int)lua_tointeger(L, -1);
  lua_close(L);
  return status;
}
