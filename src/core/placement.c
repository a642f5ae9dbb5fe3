#define XXH_INLINE_ALL
#include "core/placement.h"

#include <math.h>
#include <xxhash.h>

uint64_t cdb__node_seed(const char *name, size_t size) { return XXH3_64bits(name, size); }

/* -ln(u) for u = (bits + 0.5) / 2^53 in (0, 1). u = m * 2^e with m in
 * [1/sqrt 2, sqrt 2), and ln m = 2 atanh((m-1)/(m+1)) as its power series;
 * |(m-1)/(m+1)| < 0.172, so 12 terms give a double's precision. */
static double minus_ln(uint64_t hash) {
  const double u = ((double)(hash >> 11) + 0.5) * (1.0 / 9007199254740992.0);
  int exponent;
  double m = frexp(u, &exponent);
  if (m < 0.70710678118654752) {
    m *= 2;
    exponent--;
  }
  const double s = (m - 1) / (m + 1), square = s * s;
  double sum = 0;
  for (int k = 23; k >= 1; k -= 2) sum = sum * square + 1.0 / k;
  return -(2 * s * sum + exponent * 0.69314718055994531);
}

size_t cdb__place(uint64_t key_hash, const cdb__node *nodes, size_t n) {
  size_t best = 0;
  uint64_t best_hash = XXH3_64bits_withSeed(&key_hash, sizeof key_hash, nodes[0].seed);
  for (size_t i = 1; i < n; i++) {
    const uint64_t hash = XXH3_64bits_withSeed(&key_hash, sizeof key_hash, nodes[i].seed);
    /* Equal weights need no logarithm: the score grows with the hash. */
    const int wins = nodes[i].weight == nodes[best].weight
                         ? hash > best_hash
                         : nodes[i].weight * minus_ln(best_hash) > nodes[best].weight * minus_ln(hash);
    if (wins) {
      best = i;
      best_hash = hash;
    }
  }
  return best;
}
