/* Running scripts and commands, each protected, with an exit status as result. */
#ifndef CDB_BIN_RUN_H
#define CDB_BIN_RUN_H

#include <lua.h>

/* Prints the message on standard error, control characters as \x1b. */
void cdb__write_message(const char *message);

/* The same, with "collegedb: " before it. */
void cdb__report(const char *message);

/* Calls the function under `arguments` values and leaves its results, or the
 * message with a traceback. SIGINT is an error in Lua while it runs; what was set
 * for it before is put back. Returns what lua_pcall does. */
int cdb__protected_call(lua_State *L, int arguments, int results);

/* Forgets a SIGINT that came when the call it was for had just ended. */
void cdb__forget_interrupt(lua_State *L);

/* The global `arg`: argv[script] at 0, its arguments after, what stands before it
 * before; if there is no script, the program is at 0. */
void cdb__create_arg(lua_State *L, int argc, char **argv, int script);

/* Runs what LUA_INIT says, as lua5.4 does. */
int cdb__run_init(lua_State *L);

int cdb__run_string(lua_State *L, const char *text, const char *chunk);

/* Requires `module`, or of "name=module" what is behind the sign, into a global of that name. */
int cdb__run_library(lua_State *L, const char *module);

/* Runs a script with the arguments that the table `arg` holds; NULL is standard input. */
int cdb__run_script(lua_State *L, const char *path);

/* Runs standard input as it is run where nothing is named: without arguments. */
int cdb__run_stdin(lua_State *L);

/* Runs the command words[0] with the words after it, up to NULL; before them
 * "--config" and `config`, unless that is NULL. */
int cdb__run_command(lua_State *L, char **words, const char *config);

#endif
