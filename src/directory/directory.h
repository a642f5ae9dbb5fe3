/* The directory's entries: the durable map of keys that are not at home.
 *
 * Written in SQL over the shard interface, so that it runs on a SQLite file
 * and on whatever else becomes a shard. The tables are made by
 * lua/collegedb/directory.lua; here are the operations on single entries that
 * must be fast, and those that the takeover of existing data needs in C.
 *
 * An entry is digest -> shard id, version. Version 0 was found in an existing
 * database, so that rollback knows it; claims start at 1. */
#ifndef CDB_DIRECTORY_DIRECTORY_H
#define CDB_DIRECTORY_DIRECTORY_H

#include "core/key.h"
#include "shard/shard.h"

typedef struct {
  int64_t shard;
  int64_t version;
} cdb__entry;

/* The entry alone: 1: found, 0: none, < 0: a code. */
int cdb__directory_entry(cdb__shard *shard, const uint8_t digest[CDB__DIGEST_SIZE], cdb__entry *out,
                         cdb__fault *fault);

enum { CDB__COLUMNS = 4 };

/* Runs a statement of at most one row with up to CDB__COLUMNS integer columns; NULL is -1.
 * 1: a row was read, 0: none, < 0: a code. */
int cdb__directory_run(cdb__shard *shard, const char *sql, const cdb_value *values, int count,
                       int64_t *columns, cdb__fault *fault);

/* The number of the current epoch. */
int cdb__directory_epoch(cdb__shard *shard, int64_t *out, cdb__fault *fault);

/* `epoch` is the one that was read last, when the shard's stamp was `stamp`. If there were no entries at all
 * then, `empty`, at the version `empty_at`. */
typedef struct {
  cdb__shard *shard;
  uint64_t stamp;
  int64_t epoch;
  bool empty;
  cdb__version empty_at;
  int64_t looked; /* cdb__clock_ticks of the last look whether the file is still there */
} cdb__directory;

/* Whether it is certain without a statement that there is no entry, of any key: there was none, and nobody
 * has written since. directory->epoch is the epoch then. False says nothing. */
bool cdb__directory_is_empty(const cdb__directory *directory);

/* 1: found, 0: no entry, < 0: a code. directory->epoch is then the epoch in
 * which the answer was true: whoever finds no entry decides by it. */
int cdb__directory_lookup(cdb__directory *directory, const uint8_t digest[CDB__DIGEST_SIZE], cdb__entry *out,
                          cdb__fault *fault);

/* Claims the key for a shard if it has no entry and the epoch is still the
 * one in which the caller decided. 1: *out is the entry that stands now, the
 * caller's or an earlier one; 0: the epoch has changed; < 0: a code. */
int cdb__directory_claim(cdb__directory *directory, const uint8_t digest[CDB__DIGEST_SIZE], cdb__entry wanted,
                         int64_t epoch, cdb__entry *out, cdb__fault *fault);

#endif
