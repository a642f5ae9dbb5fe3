/* A shard: one SQL database behind one table of functions, and a bounded
 * cache of its prepared statements.
 *
 * A statement is taken from the cache, bound, stepped, reset and given back;
 * while it is out, nobody else can have it, so the same SQL may run inside
 * itself. Whoever took it owns it until cdb__stmt_give. A shard must outlive
 * its statements. All sizes are bytes. */
#ifndef CDB_SHARD_SHARD_H
#define CDB_SHARD_SHARD_H

#include <stdbool.h>

#include "core/error.h"

typedef struct cdb__shard cdb__shard;
typedef struct cdb__stmt cdb__stmt;

enum { CDB__LOST = 100 }; /* the type of a value that there was no memory for: the next step fails */
enum { CDB__DONE = 0, CDB__ROW = 1 }; /* what step returns beside negative codes */

/* What a statement's rows are for, of shards that are far away. */
enum {
  CDB__WANT_ALL,
  CDB__WANT_RESULT, /* all, and the columns' names also where there are no rows */
  CDB__WANT_FIRST,
  CDB__WANT_PAGES /* one after the other, without an end that was known before */
};

/* A committed state of a file; see `version` below. */
enum { CDB__VERSION_WORDS = 6 };
typedef struct {
  uint64_t words[CDB__VERSION_WORDS];
} cdb__version;

typedef struct {
  const char *kind; /* "sqlite", "d1" */

  /* One statement; a text with nothing in it is CDB_USAGE. */
  int (*prepare)(cdb__shard *shard, const char *sql, size_t size, cdb__stmt **out, cdb__fault *fault);
  /* Several statements without parameters, results ignored. */
  int (*exec)(cdb__shard *shard, const char *script, cdb__fault *fault);
  int (*size)(cdb__shard *shard, int64_t *bytes, cdb__fault *fault);
  bool (*in_transaction)(cdb__shard *shard);
  /* Begins a transaction or savepoint by this statement, such that `undo` will need no memory for the whole.
   * Both are NULL where there are no transactions. */
  int (*begin)(cdb__shard *shard, const char *sql, cdb__fault *fault);
  /* Undoes what was done since the savepoint, and ends that; the whole transaction where NULL is given, or
   * where there is no memory for less. What can not be undone now is before the next statement. */
  void (*undo)(cdb__shard *shard, const char *savepoint);
  /* A number that differs when anybody may have written since the statement
   * before the last one; 0 when the backend can not tell. Costs no I/O. */
  uint64_t (*stamp)(cdb__shard *shard);
  /* What differs when anybody has written, also through this connection; false where that can not be told, or
   * inside a transaction, which may read an older state. NULL where there is no file. */
  bool (*version)(cdb__shard *shard, cdb__version *out);
  /* Nobody has written since such a version was told. Costs no I/O and no lock; false says nothing. */
  bool (*is_still)(const cdb__shard *shard, const cdb__version *version);
  /* True when the file is not the one any more that its path names; NULL where there is no file. */
  bool (*moved)(cdb__shard *shard);
  /* Name of a column's collation; NULL when memory is short. A backend that can not tell has no function. */
  const char *(*collation)(cdb__shard *shard, const char *table, const char *column);
  void (*close)(cdb__shard *shard);
  /* For shards that are far away: asks for the answers of bound statements of several shards together, so
   * that the first step of each finds its own; NULL elsewhere. */
  void (*fetch)(cdb__stmt **stmts, size_t count);
  /* Where `batches`: runs bound statements of the shard, all or none, so that the first step of each finds
   * its rows or what went wrong. */
  void (*batch)(cdb__stmt **stmts, size_t count);

  /* index from 1. TEXT and BLOB data must live until the statement is reset. */
  int (*bind)(cdb__stmt *stmt, int index, const cdb_value *value, cdb__fault *fault);
  int (*step)(cdb__stmt *stmt, cdb__fault *fault);
  /* Ends the statement; the code matters: a write with RETURNING may fail only here. */
  int (*reset)(cdb__stmt *stmt, cdb__fault *fault);
  const char *(*column_name)(cdb__stmt *stmt, int column);
  void (*value)(cdb__stmt *stmt, int column, cdb_value *out);
  /* ":id", "?3", or NULL for a bare "?" */
  const char *(*parameter_name)(cdb__stmt *stmt, int index);
  int64_t (*changes)(cdb__stmt *stmt);
  int64_t (*last_row_id)(cdb__stmt *stmt); /* INT64_MIN: it can not be told */
  /* What the statement cost where that is paid for: INT64_MIN where it was not told; NULL elsewhere. */
  void (*cost)(cdb__stmt *stmt, int64_t *rows_read, int64_t *rows_written);
  void (*finalize)(cdb__stmt *stmt);
} cdb__shard_ops;

enum { CDB__STATEMENT_BUCKETS = 256, CDB__STATEMENT_LIMIT = 200 };

struct cdb__shard {
  const cdb__shard_ops *ops;
  /* Given back by the host of cached statements' `host` values when they end. */
  void (*release_host)(void *context, int host);
  void *host_context;
  cdb__stmt *buckets[CDB__STATEMENT_BUCKETS];
  cdb__stmt *newest, *oldest;
  int idle;      /* statements that are not taken */
  bool single;   /* no transaction goes over several statements */
  bool batches;  /* but those that are there together are all done or none */
  bool replicas; /* there are copies, which routed reads may ask */
  bool routed;   /* the next statement is such a read */
};

struct cdb__stmt {
  cdb__shard *shard;
  char *sql; /* owned copy: the key of the cache */
  size_t sql_size;
  uint64_t hash;
  bool taken;
  bool readonly;
  uint64_t id;         /* the host's for the text of a statement that is checked, or 0 */
  bool checked;        /* the host looked at the text and allows it */
  bool alters;         /* it changes the schema, as the host saw */
  int prepared_before; /* `prepared` when the statement was given back last */
  int parameters;
  int columns;  /* of the result; follows the schema after each first step */
  int prepared; /* changes whenever the database prepared the text anew */
  int host;     /* a reference of the host's to what it made of the columns; 0 is none */
  int host_prepared;
  int wanted; /* CDB__WANT_… */
  cdb__stmt *bucket_next, *newer, *older;
  /* Of the host, while the statement is out; see src/bind/run.c. */
  cdb__stmt *running_next;
  uintptr_t running_frame;
  int64_t started;     /* when it was begun, while it is timed; else 0 */
  uint64_t stands_for; /* so many statements, while it is timed */
};

/* For backends: sets up and tears down the common part. */
void cdb__shard_init(cdb__shard *shard, const cdb__shard_ops *ops);
int cdb__stmt_init(cdb__stmt *stmt, cdb__shard *shard, const char *sql, size_t size, cdb__fault *fault);
void cdb__stmt_fini(cdb__stmt *stmt);

uint64_t cdb__sql_hash(const char *sql, size_t size);

/* A statement for the text: from the cache, else prepared. */
int cdb__stmt_take(cdb__shard *shard, const char *sql, size_t size, uint64_t hash, cdb__stmt **out,
                   cdb__fault *fault);
void cdb__stmt_touch(cdb__stmt *stmt); /* it was used last */
/* The same by the host's id for the text, without comparing texts; NULL: cdb__stmt_take tells. */
static inline cdb__stmt *cdb__stmt_retake(cdb__shard *shard, uint64_t hash, uint64_t id) {
  cdb__stmt *stmt = shard->buckets[hash % CDB__STATEMENT_BUCKETS];
  if (!stmt || stmt->id != id || stmt->taken) return NULL;
  shard->idle--;
  if (stmt != shard->newest) cdb__stmt_touch(stmt);
  stmt->taken = true;
  return stmt;
}
/* Instead of giving it back: finalizes a statement that was taken. */
void cdb__stmt_drop(cdb__stmt *stmt);
/* Finalizes the statement that was not used for the longest time. */
void cdb__stmt_drop_oldest(cdb__shard *shard);
/* Back to the cache, where the least recently used one leaves. It must have been reset. */
static inline void cdb__stmt_give(cdb__stmt *stmt) {
  stmt->taken = false;
  if (++stmt->shard->idle > CDB__STATEMENT_LIMIT) cdb__stmt_drop_oldest(stmt->shard);
}
/* Finalizes every idle statement. */
void cdb__shard_forget_statements(cdb__shard *shard);

static inline int cdb__step(cdb__stmt *stmt, cdb__fault *fault) {
  return stmt->shard->ops->step(stmt, fault);
}
static inline int cdb__reset(cdb__stmt *stmt, cdb__fault *fault) {
  return stmt->shard->ops->reset(stmt, fault);
}
static inline int cdb__begin(cdb__shard *shard, const char *sql, cdb__fault *fault) {
  return (shard->ops->begin ? shard->ops->begin : shard->ops->exec)(shard, sql, fault);
}
static inline void cdb__undo(cdb__shard *shard, const char *savepoint) {
  if (shard->ops->undo) shard->ops->undo(shard, savepoint);
}
static inline int cdb__exec(cdb__shard *shard, const char *script, cdb__fault *fault) {
  return shard->ops->exec(shard, script, fault);
}

#endif
