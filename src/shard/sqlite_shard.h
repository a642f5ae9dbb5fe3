/* What sqlite.c and sqlite_open.c share. */
#ifndef CDB_SHARD_SQLITE_SHARD_H
#define CDB_SHARD_SQLITE_SHARD_H

#include "shard/sqlite.h"

typedef struct {
  cdb__shard base;
  sqlite3 *db;
  sqlite3_stmt *undo; /* "ROLLBACK", made before a transaction begins, or NULL */
  enum { JOURNAL_UNKNOWN, JOURNAL_WAL, JOURNAL_OTHER } journal;
  const volatile uint64_t *wal_index; /* once it was asked for, where the journal is a WAL */
  cdb__sqlite_watcher watcher;
  void *watcher_context;
  char *path;
} cdb__sqlite_shard;

extern const cdb__shard_ops cdb__sqlite_ops;

/* Fills the fault of a failed call of SQLite's; returns its code. */
int cdb__sqlite_fail(const cdb__sqlite_shard *shard, int sqlite_code, cdb__fault *fault);
/* The first column of the first row, as it was if there is none. */
int cdb__sqlite_query_int64(cdb__sqlite_shard *shard, const char *sql, int64_t *out, cdb__fault *fault);

#endif
