/* Fills the mapping cache with as many entries as its bound and prints what an entry takes: entries that are
 * found again, bytes by the cache's own account, and by the kernel's. Usage: cache_bytes ENTRIES */
#define XXH_INLINE_ALL
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/cache.h"

static uint64_t resident_bytes(void) {
  FILE *file = fopen("/proc/self/status", "r");
  char line[256];
  uint64_t kilobytes = 0;
  while (file && fgets(line, sizeof line, file))
    if (strncmp(line, "VmRSS:", 6) == 0) kilobytes = strtoull(line + 6, NULL, 10);
  if (file) fclose(file);
  return kilobytes * 1024;
}

static cdb__hash hash_of(uint64_t i) {
  const XXH128_hash_t hash = XXH3_128bits(&i, sizeof i);
  return (cdb__hash){hash.low64, hash.high64};
}

int main(int argc, char **argv) {
  const uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000000;
  const uint64_t before = resident_bytes();
  cdb__cache *cache = cdb__cache_new(count);
  if (!cache) return 1;
  for (uint64_t i = 0; i < count; i++)
    cdb__cache_put(cache, hash_of(i), 1, 1000 + (int64_t)i, (int)(i % 64), 0);
  const uint64_t resident = resident_bytes() - before;
  uint64_t found = 0;
  int why;
  for (uint64_t i = 0; i < count; i++) found += cdb__cache_get(cache, hash_of(i), 1, &why) >= 0;
  const cdb__cache_stats stats = cdb__cache_get_stats(cache);
  printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", found, stats.bytes, resident);
  cdb__cache_free(cache);
  return 0;
}
