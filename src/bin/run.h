/* Running scripts and commands, each protected, with an exit status as result. */
#ifndef CDB_BIN_RUN_H
#define CDB_BIN_RUN_H

#include <lua.h>

/* Prints "collegedb: message" on standard error. */
void cdb__report(const char *message);

/* The global `arg`: the script or command at 0, its arguments after, the program before. */
void cdb__create_arg(lua_State *L, int argc, char **argv);

/* Runs what LUA_INIT says, as lua5.4 does. */
int cdb__run_init(lua_State *L);

/* Run argv[1] with the arguments after it. */
int cdb__run_script(lua_State *L, int argc, char **argv);
int cdb__run_command(lua_State *L, int argc, char **argv);

#endif
