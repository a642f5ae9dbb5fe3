/* The parts of the floor module. */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

#include <lua.h>
#include <sqlite3.h>

sqlite3 *bench_connection(lua_State *L, int arg);

/* floor.integrate(source, directory, table, column, shard); see floor_integrate.c. */
int bench_integrate(lua_State *L);

/* See floor_json.c. */
int bench_json(lua_State *L);
int bench_processor(lua_State *L);

#endif
