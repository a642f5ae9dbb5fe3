/* Copying the rows of one statement into another, on two shards, with a digest
 * by which two sets of rows can be compared. The columns of the first become
 * the parameters of the second; a parameter more is the row's number. */
#ifndef CDB_SHARD_COPY_H
#define CDB_SHARD_COPY_H

#include "core/key.h"
#include "shard/shard.h"

typedef struct {
  int64_t rows, bytes; /* bytes of texts and blobs */
  cdb__hash digest;    /* of all values with their types, in the order of the rows */
} cdb__copied;

/* Makes one more value count. */
void cdb__digest_value(cdb__hash *digest, const cdb_value *value);

/* Copies rows that the reader has still to give, until one of the limits is
 * reached. Without a writer they are only read. Sets *out; *more is false when
 * the reader gave its last row. The reader is not reset. */
int cdb__copy_rows(cdb__stmt *reader, cdb__stmt *writer, int64_t first, const cdb__copied *limits,
                   cdb__copied *out, bool *more, cdb__fault *fault);

#endif
