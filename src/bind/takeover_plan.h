/* Reading a takeover's plan from the table that lua/collegedb/integration.lua
 * makes: for a takeover on this thread, over shards of this Lua state, or for
 * one in the background, with copies of all texts and with the numbers of
 * connections that its thread opens for itself. */
#ifndef CDB_BIND_TAKEOVER_PLAN_H
#define CDB_BIND_TAKEOVER_PLAN_H

#include "bind/bind.h"
#include "directory/takeover.h"

typedef struct {
  cdb__takeover_plan plan;
  cdb__node *nodes;
  cdb__takeover_place *homes, *others;
  bool copies; /* set before reading: for the background */
  char **texts;
  size_t text_count;
  cdb__lua_shard **shards; /* of this state, to look whether they are still open */
  size_t shard_count;
  int source; /* the connection, in the background */
} cdb__lua_takeover_plan;

/* May raise: what was read until then is in `out`, whose owner frees it. */
void cdb__lua_takeover_plan_read(lua_State *L, int table, cdb__lua_takeover_plan *out);
void cdb__lua_takeover_plan_free(cdb__lua_takeover_plan *plan);

#endif
