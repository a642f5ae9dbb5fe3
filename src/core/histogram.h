/* How long things took: counts of durations in buckets that grow with them,
 * four to each doubling, so that a quantile is told to within an eighth.
 *
 * Plain data: it may be copied, and all zeros is an empty one. */
#ifndef CDB_CORE_HISTOGRAM_H
#define CDB_CORE_HISTOGRAM_H

#include <stdint.h>

/* The first bucket ends at 2^CDB__HISTOGRAM_FIRST ns (256 ns), the last but one at 2^37 ns (137 s). */
enum { CDB__HISTOGRAM_FIRST = 8, CDB__HISTOGRAM_LAST = 36, CDB__HISTOGRAM_BUCKETS = 118 };

typedef struct {
  uint64_t count, sum_ns, max_ns;
  uint64_t buckets[CDB__HISTOGRAM_BUCKETS];
} cdb__histogram;

/* One duration, which stands for `weight` of them. */
void cdb__histogram_add(cdb__histogram *histogram, uint64_t ns, uint64_t weight);

/* Where a bucket begins; it ends where the next one begins, and the last one never. */
uint64_t cdb__histogram_from(int bucket);

#endif
