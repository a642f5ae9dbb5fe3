/* Printing the values of a statement for people. */
#ifndef CDB_BIN_SHOW_H
#define CDB_BIN_SHOW_H

#include <lua.h>

/* A lua_CFunction: prints its arguments as the global print does, but rows and
 * results of a statement as aligned tables. */
int cdb__show(lua_State *L);

#endif
