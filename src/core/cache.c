#include "core/cache.h"

#include <stdlib.h>
#include <string.h>

enum { WINDOW = 32, FIRST_SLOTS = 256 };

/* `life` is zero in a slot never used since the last clear; else the end of
 * life in milliseconds << 20 | why << 16 | shard. An end of 0 with other bits
 * set is a dropped entry. 44 bits of milliseconds are 557 years. */
typedef struct {
  uint64_t low, high, life;
} slot;

struct cdb__cache {
  slot *slots;
  uint64_t count, size, max_size;
  cdb__cache_stats stats;
};

static const uint64_t DROPPED = 1;
static const uint64_t MAX_ENTRIES = (uint64_t)1
                                    << 40; /* more than any memory; keeps the sizes from overflowing */

static int64_t slot_ends(const slot *s) { return (int64_t)(s->life >> 20); }

/* Scales a hash to a slot without a division, and without power-of-two sizes:
 * a bound of ten million must not cost the memory of sixteen. */
static uint64_t place(const cdb__cache *cache, cdb__hash hash) {
  return (uint64_t)(((unsigned __int128)hash.low * cache->size) >> 64);
}

/* WINDOW slots stand behind the last place, so a window never wraps. */
static slot *allocate(uint64_t size) { return calloc(size + WINDOW, sizeof(slot)); }

cdb__cache *cdb__cache_new(uint64_t max_entries) {
  cdb__cache *cache = calloc(1, sizeof *cache);
  if (!cache) return NULL;
  if (max_entries < 64) max_entries = 64;
  if (max_entries > MAX_ENTRIES) max_entries = MAX_ENTRIES;
  cache->max_size = max_entries + max_entries / 4;
  cache->size = cache->max_size < FIRST_SLOTS ? cache->max_size : FIRST_SLOTS;
  cache->slots = allocate(cache->size);
  if (!cache->slots) {
    free(cache);
    return NULL;
  }
  return cache;
}

void cdb__cache_free(cdb__cache *cache) {
  if (!cache) return;
  free(cache->slots);
  free(cache);
}

static slot *find(const cdb__cache *cache, cdb__hash hash) {
  slot *s = cache->slots + place(cache, hash);
  for (slot *end = s + WINDOW; s < end && s->life; s++)
    if (s->low == hash.low && s->high == hash.high) return s;
  return NULL;
}

int cdb__cache_get(cdb__cache *cache, cdb__hash hash, int64_t now_ms, int *why) {
  const slot *s = find(cache, hash);
  if (!s || slot_ends(s) <= now_ms) {
    cache->stats.misses++;
    return -1;
  }
  cache->stats.hits++;
  *why = (int)(s->life >> 16 & 15);
  return (int)(s->life & 0xffff);
}

/* The slot for a new entry: an unused one, else the one that ends first (or has ended). */
static slot *victim(const cdb__cache *cache, cdb__hash hash) {
  slot *s = cache->slots + place(cache, hash), *first = s;
  for (slot *end = s + WINDOW; s < end; s++) {
    if (!s->life) return s;
    if (slot_ends(s) < slot_ends(first)) first = s;
  }
  return first;
}

/* Twice the slots, up to the bound. Without memory the cache stays as it is. */
static void grow(cdb__cache *cache, int64_t now_ms) {
  const uint64_t old_size = cache->size;
  slot *old = cache->slots;
  const uint64_t size = old_size > cache->max_size / 2 ? cache->max_size : old_size * 2;
  slot *fresh = allocate(size);
  if (!fresh) return;
  cache->slots = fresh;
  cache->size = size;
  cache->count = 0;
  for (const slot *s = old, *end = old + old_size + WINDOW; s < end; s++) {
    if (slot_ends(s) <= now_ms) continue;
    slot *to = victim(cache, (cdb__hash){s->low, s->high});
    if (!to->life) cache->count++;
    *to = *s;
  }
  free(old);
}

void cdb__cache_put(cdb__cache *cache, cdb__hash hash, int64_t now_ms, int64_t ends_ms, int shard, int why) {
  slot *s = find(cache, hash);
  if (!s) {
    if (cache->count >= cache->size / 5 * 4 && cache->size < cache->max_size) grow(cache, now_ms);
    s = victim(cache, hash);
    if (!s->life) cache->count++;
    else if (slot_ends(s) > now_ms) cache->stats.evictions++;
  }
  s->low = hash.low;
  s->high = hash.high;
  s->life = (uint64_t)ends_ms << 20 | (uint64_t)why << 16 | (uint64_t)shard;
}

void cdb__cache_drop(cdb__cache *cache, cdb__hash hash) {
  slot *s = find(cache, hash);
  if (s) s->life = DROPPED;
}

void cdb__cache_clear(cdb__cache *cache) {
  memset(cache->slots, 0, (cache->size + WINDOW) * sizeof(slot));
  cache->count = 0;
}

cdb__cache_stats cdb__cache_get_stats(const cdb__cache *cache) {
  cdb__cache_stats stats = cache->stats;
  stats.entries = cache->count;
  stats.capacity = cache->max_size / 5 * 4;
  stats.bytes = (cache->size + WINDOW) * sizeof(slot) + sizeof *cache;
  return stats;
}
