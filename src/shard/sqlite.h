/* The SQLite shard: one connection to one file. */
#ifndef CDB_SHARD_SQLITE_H
#define CDB_SHARD_SQLITE_H

#include <sqlite3.h>

#include "shard/shard.h"

typedef struct {
  int busy_timeout_ms;
  const char *journal_mode; /* NULL: WAL for a new file, an existing file keeps its own */
  const char *synchronous;  /* NULL: FULL */
  int64_t mmap_size;        /* bytes; 0 is off: a file truncated under a mapping is SIGBUS */
  int64_t cache_size;       /* as in PRAGMA cache_size; 0 keeps SQLite's default */
  bool must_exist;
  bool read_only; /* by who may not write it: makes no file beside it */
  bool d1_limits; /* refuses what would be too large for D1 */
  bool single;    /* for tests: refuses transactions over several statements, as shards over HTTP do */
} cdb__sqlite_options;

/* Opens or creates `path` (never a URI); checks that it is a database. */
int cdb__sqlite_open(cdb__shard **out, const char *path, const cdb__sqlite_options *options,
                     cdb__fault *fault);

/* Ends the statement that another thread runs there, if one does. */
void cdb__sqlite_interrupt(cdb__shard *shard);

/* Called before each row that a statement inserts, updates or deletes, with
 * SQLite's preupdate arguments; NULL takes it away. */
typedef void (*cdb__sqlite_watcher)(void *context, sqlite3 *db, int operation, const char *table,
                                    int64_t old_rowid, int64_t new_rowid);
void cdb__sqlite_watch(cdb__shard *shard, cdb__sqlite_watcher watcher, void *context);

#endif
