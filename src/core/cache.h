/* The mapping cache: key hash -> shard, bounded, each entry with an end of life.
 *
 * Open addressing with a short window: an entry lies within WINDOW slots of
 * its place. A full window forgets the entry that would end first, so a put
 * always works, a lookup always ends, and forgetting is safe because the
 * router resolves again. 24 bytes a slot, at most 4/5 of the slots used. */
#ifndef CDB_CORE_CACHE_H
#define CDB_CORE_CACHE_H

#include "core/key.h"

typedef struct cdb__cache cdb__cache;

typedef struct {
  uint64_t entries, capacity, bytes, hits, misses, evictions;
} cdb__cache_stats;

/* Room for max_entries, allocated as it fills. NULL when memory ran out. */
cdb__cache *cdb__cache_new(uint64_t max_entries);
void cdb__cache_free(cdb__cache *cache);

/* The shard and why it was chosen (a small number of the caller's), or -1.
 * An entry whose end has come is not found. */
int cdb__cache_get(cdb__cache *cache, cdb__hash hash, int64_t now_ms, int *why);

/* shard < 65536, why < 16. Never fails: at worst another entry is forgotten. */
void cdb__cache_put(cdb__cache *cache, cdb__hash hash, int64_t now_ms, int64_t ends_ms, int shard, int why);
void cdb__cache_drop(cdb__cache *cache, cdb__hash hash);
void cdb__cache_clear(cdb__cache *cache);
cdb__cache_stats cdb__cache_get_stats(const cdb__cache *cache);

#endif
