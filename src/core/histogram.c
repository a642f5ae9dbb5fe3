#include "core/histogram.h"

/* A bucket is the place of the highest bit and the two bits that follow it. */
static int bucket_of(uint64_t ns) {
  if (ns >> CDB__HISTOGRAM_FIRST == 0) return 0;
  const int top = 63 - __builtin_clzll(ns);
  if (top > CDB__HISTOGRAM_LAST) return CDB__HISTOGRAM_BUCKETS - 1;
  return 1 + (top - CDB__HISTOGRAM_FIRST) * 4 + (int)(ns >> (top - 2) & 3);
}

uint64_t cdb__histogram_from(int bucket) {
  if (bucket <= 0) return 0;
  const int top = (bucket - 1) / 4 + CDB__HISTOGRAM_FIRST;
  return (uint64_t)(4 + (bucket - 1) % 4) << (top - 2);
}

void cdb__histogram_add(cdb__histogram *histogram, uint64_t ns, uint64_t weight) {
  histogram->count += weight;
  histogram->sum_ns += ns * weight;
  if (ns > histogram->max_ns) histogram->max_ns = ns;
  histogram->buckets[bucket_of(ns)] += weight;
}
