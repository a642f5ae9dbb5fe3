/* The interactive mode: asks for statements, runs them, prints their values. */
#ifndef CDB_BIN_INTERACTIVE_H
#define CDB_BIN_INTERACTIVE_H

#include <lua.h>

/* Makes `collegedb` a global, and `db` the database of the config file. Without
 * one, ./collegedb.lua is taken if it is there and `search` is set; that it cannot
 * be opened is then said, and no failure. Returns an exit status. */
int cdb__open_globals(lua_State *L, const char *config, int search);

/* Ends with the input. */
void cdb__interact(lua_State *L);

#endif
