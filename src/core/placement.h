/* Weighted rendezvous hashing: which of n shards a key is at home on.
 *
 * Each shard gets a score for the key, -weight / ln(u) with u a uniform hash
 * of both in (0, 1); the highest wins. A shard that is added to N equal ones
 * takes 1/(N+1) of the keys and moves no other key (D. Thaler and C.
 * Ravishankar, "A Name-Based Mapping Scheme for Rendezvous", 1996; weights as
 * in J. Resch, "New Hashing Algorithms for Data Storage", 2015).
 *
 * The result is the same on every machine: the logarithm is computed here
 * with IEEE basic operations only, not by a libm that may round otherwise. */
#ifndef CDB_CORE_PLACEMENT_H
#define CDB_CORE_PLACEMENT_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  uint64_t seed; /* cdb__node_seed of the shard's name */
  double weight; /* > 0 and finite */
} cdb__node;

uint64_t cdb__node_seed(const char *name, size_t size);

/* Index of the winning node; n must be at least 1. */
size_t cdb__place(uint64_t key_hash, const cdb__node *nodes, size_t n);

#endif
