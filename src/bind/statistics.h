/* The counts of a router at one moment, in one block: also the layout of the
 * files in which programs show theirs to others. Each part has a checksum of
 * its own there, since each is written by itself. */
#ifndef CDB_BIND_STATISTICS_H
#define CDB_BIND_STATISTICS_H

#include "bind/bind.h"

typedef struct {
  uint64_t checksum; /* of what follows it */
  cdb__meter_counts counts;
} cdb__statistics_shard;

typedef struct {
  char magic[8];
  uint64_t checksum; /* of what follows it, without the shards */
  uint64_t shard_size, shard_count;
  int64_t pid, opened; /* Unix seconds */
  uint64_t hits, misses, evictions, entries, capacity, bytes;
  cdb__statistics_shard shards[];
} cdb__statistics;

static inline size_t cdb__statistics_size(size_t shards) {
  return sizeof(cdb__statistics) + shards * sizeof(cdb__statistics_shard);
}

/* Fills in all but the shards, and one of them; without magic and checksums. */
void cdb__statistics_take_head(const cdb__lua_db *db, cdb__statistics *out);
void cdb__statistics_take_shard(const cdb__lua_shard *shard, cdb__statistics_shard *out);
/* A block of both that the caller frees, without magic and checksum; NULL: no memory. */
cdb__statistics *cdb__statistics_take(const cdb__lua_db *db);
/* Writes all of it to the router's file, if it has one. */
void cdb__statistics_write_all(cdb__lua_db *db);
/* Pushes it as a table, and frees it. */
int cdb__statistics_push(lua_State *L, cdb__statistics *head, size_t size);

void cdb__lua_open_statistics_files(lua_State *L);

#endif
