/* Completion of names in a line of Lua. */
#ifndef CDB_BIN_COMPLETE_H
#define CDB_BIN_COMPLETE_H

#include <lua.h>

/* A lua_CFunction of two light userdata: a size_t's address, and text of that
 * length. Returns what to insert behind it, "" if that is open, nil if no name
 * fits; and the names that fit, sorted. */
int cdb__complete(lua_State *L);

#endif
