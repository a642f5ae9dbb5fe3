/* CollegeDB for C programs with a Lua 5.4 state of their own. Link with
 * libcollegedb, open the standard libraries, then
 *
 *   luaL_requiref(L, "collegedb", luaopen_collegedb, 0);
 *
 * After that `require "collegedb"` works in that state, with the Lua files that
 * the library carries. Files that package.path finds win over those.
 */
#ifndef COLLEGEDB_LUA_H
#define COLLEGEDB_LUA_H

#include <lua.h>

#include "collegedb.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Installs the embedded modules and returns the module `collegedb`. */
CDB_API int luaopen_collegedb(lua_State *L);

/* The part in C alone; the Lua files load it as `collegedb.core`. */
CDB_API int luaopen_collegedb_core(lua_State *L);

#ifdef __cplusplus
}
#endif
#endif
