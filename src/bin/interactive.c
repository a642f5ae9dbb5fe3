/* The loop of the interactive mode, in the shape of lua.c's. A statement may take
 * many lines: it goes on while its text only lacks an end. What is read is tried
 * as an expression first, so that its values are shown.
 *
 * SIGINT is never deadly here: while a statement runs it is an error in it (run.c),
 * while one is typed the reader notes it and what was typed is dropped. */
#include "bin/interactive.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>

#include "bin/editor.h"
#include "bin/run.h"
#include "bin/show.h"

/* What reading a statement may come to, beside what loading one returns. */
enum { INPUT_END = -1, INPUT_DROPPED = -2 };

static int open_database(lua_State *L) {
  const char *path = lua_tostring(L, 1);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "collegedb.command");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "load_config");
  lua_pushstring(L, path);
  lua_call(L, 1, 1);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "collegedb");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "open");
  lua_pushvalue(L, -3);
  lua_call(L, 1, 1);
  lua_setglobal(L, "db");
  return 0;
}

int cdb__open_globals(lua_State *L, const char *config, int search) {
  static const char found[] = "./collegedb.lua";
  int status = cdb__run_library(L, "collegedb");
  if (status != EXIT_SUCCESS) return status;
  int given = config != NULL;
  if (!given && (!search || access(found, R_OK) != 0)) return EXIT_SUCCESS;
  lua_pushcfunction(L, open_database);
  lua_pushstring(L, given ? config : found);
  if (cdb__protected_call(L, 1, 0) == LUA_OK) return EXIT_SUCCESS;
  cdb__report(lua_tostring(L, -1));
  lua_pop(L, 1);
  return given ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Pushes the prompt, which the user may have set as lua5.4 lets them. */
static const char *push_prompt(lua_State *L, int first) {
  int type = lua_getglobal(L, first ? "_PROMPT" : "_PROMPT2");
  if (type == LUA_TNIL || lua_tostring(L, -1) == NULL) {
    lua_pop(L, 1);
    lua_pushstring(L, first ? "> " : ">> ");
  }
  return lua_tostring(L, -1);
}

/* Pushes a line without its end. Where there is no terminal, a plain read does. */
static int read_plain(lua_State *L, const char *prompt) {
  luaL_Buffer line;
  lua_writestring(prompt, strlen(prompt));
  fflush(stdout);
  luaL_buffinit(L, &line);
  int c;
  errno = 0;
  while ((c = getc(stdin)) != EOF && c != '\n') luaL_addchar(&line, (char)c);
  luaL_pushresult(&line);
  if (c != EOF || (lua_rawlen(L, -1) > 0 && errno != EINTR)) return LUA_OK;
  int dropped = errno == EINTR;
  clearerr(stdin);
  lua_pop(L, 1);
  return dropped ? INPUT_DROPPED : INPUT_END;
}

/* Pushes a line without its end, or nothing and returns what there was instead. */
static int read_line(lua_State *L, cdb__editor *editor, int first) {
  const char *prompt = push_prompt(L, first);
  int outcome = editor != NULL ? cdb__editor_read(editor, L, prompt) : read_plain(L, prompt);
  lua_remove(L, outcome == LUA_OK ? -2 : -1);
  if (outcome == INPUT_DROPPED) lua_writestring("^C\n", 3);
  return outcome;
}

/* Is this the message of a text that only lacks an end? */
static int is_incomplete(lua_State *L, int failed) {
  static const char mark[] = "<eof>";
  size_t length;
  if (failed != LUA_ERRSYNTAX) return 0;
  const char *message = lua_tolstring(L, -1, &length);
  return length >= sizeof mark - 1 && strcmp(message + length - (sizeof mark - 1), mark) == 0;
}

/* Loads the text on the top as an expression; leaves the function or the message. */
static int load_expression(lua_State *L) {
  const char *text = lua_tostring(L, -1);
  if (text[0] == '=') text++; /* what Lua 5.1 asked for */
  const char *expression = lua_pushfstring(L, "return %s", text);
  int failed = luaL_loadbuffer(L, expression, strlen(expression), "=stdin");
  lua_remove(L, -2);
  return failed;
}

/* Leaves the function or the message of the text on the top; `more` says whether
 * the text would make sense if it went on. */
static int load_text(lua_State *L, int *more) {
  size_t length;
  const char *text = lua_tolstring(L, -1, &length);
  int failed = load_expression(L);
  *more = is_incomplete(L, failed);
  if (failed == LUA_OK) return LUA_OK;
  lua_pop(L, 1);
  failed = luaL_loadbuffer(L, text, length, "=stdin");
  *more = failed != LUA_OK && (*more || is_incomplete(L, failed));
  return failed;
}

/* Replaces the first line on the top by the function, or by a message. */
static int load_statement(lua_State *L, cdb__editor *editor) {
  int more, outcome = LUA_OK, failed;
  while ((failed = load_text(L, &more)) != LUA_OK && more) {
    outcome = read_line(L, editor, 0);
    if (outcome != LUA_OK) break;
    lua_remove(L, -2); /* the message */
    lua_pushliteral(L, "\n");
    lua_insert(L, -2);
    lua_concat(L, 3);
  }
  lua_remove(L, -2);
  if (outcome != INPUT_DROPPED) return failed;
  lua_pop(L, 1);
  return INPUT_DROPPED;
}

static int read_statement(lua_State *L, cdb__editor *editor) {
  int outcome = read_line(L, editor, 1);
  return outcome == LUA_OK ? load_statement(L, editor) : outcome;
}

static int run_statement(lua_State *L) {
  int base = lua_gettop(L) - 1;
  int failed = cdb__protected_call(L, 0, LUA_MULTRET);
  cdb__forget_interrupt(L);
  int count = lua_gettop(L) - base;
  if (failed != LUA_OK || count == 0) return failed;
  luaL_checkstack(L, LUA_MINSTACK, "too many results to print");
  lua_pushcfunction(L, cdb__show);
  lua_insert(L, base + 1);
  failed = cdb__protected_call(L, count, 0);
  cdb__forget_interrupt(L);
  return failed;
}

/* Only there so that a read ends: see the editor, which notes it. */
static void on_sigint(int signal_number) {
  (void)signal_number;
  cdb__editor_interrupted = 1;
}

void cdb__interact(lua_State *L) {
  struct sigaction action, before;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_sigint; /* without SA_RESTART */
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &before);
  int terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
  lua_settop(L, 0);
  cdb__editor *editor = terminal ? cdb__editor_open(L) : NULL;
  int base = lua_gettop(L); /* the editor is kept alive there */
  for (;;) {
    int outcome = read_statement(L, editor);
    if (outcome == INPUT_END) break;
    if (outcome == LUA_OK) outcome = run_statement(L);
    if (outcome > LUA_OK) {
      fflush(stdout);
      cdb__write_message(lua_tostring(L, -1));
    }
    lua_settop(L, base);
  }
  lua_writeline();
  sigaction(SIGINT, &before, NULL);
}
