/* What the commands need of the system beside Lua's standard library. */
#ifndef CDB_BIN_HOST_H
#define CDB_BIN_HOST_H

#include <lua.h>

/* Makes `require "collegedb.host"` return the table described in host.c. */
void cdb__host_install(lua_State *L);

#endif
