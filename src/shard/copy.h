/* Copying the rows of one statement into another, on two shards, with a digest
 * by which two sets of rows can be compared. Neither statement has parameters
 * of its own; the columns of the first become the parameters of the second. */
#ifndef CDB_SHARD_COPY_H
#define CDB_SHARD_COPY_H

#include "core/key.h"
#include "shard/shard.h"

typedef struct {
  int64_t rows;
  cdb__hash digest; /* of all values with their types, in the order of the rows */
} cdb__copied;

/* With `to` NULL the rows are only read. Adds to *out, which starts as {0}. */
int cdb__copy_rows(cdb__shard *from, const char *read, cdb__shard *to, const char *write, cdb__copied *out,
                   cdb__fault *fault);

#endif
