/* CollegeDB: one database out of many, routed by key.
 *
 * The C interface. A router is used by one thread at a time. Functions that
 * can fail return 0 or a negative code from CDB_ERROR_CODES, and fill `err`
 * (which may be NULL) with the code and one sentence.
 */
#ifndef COLLEGEDB_H
#define COLLEGEDB_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CDB_VERSION "0.1.0"

#if defined(__GNUC__)
#define CDB_API __attribute__((visibility("default")))
#else
#define CDB_API
#endif

/* Every error code once: X(name, value, retryable, what it means). */
#define CDB_ERROR_CODES(X)                                                    \
  X(CONFIG, -1, 0, "the configuration is wrong")                              \
  X(USAGE, -2, 0, "a call's arguments are wrong")                             \
  X(SCRIPT, -3, 0, "a strategy, rule, workflow or config script failed")      \
  X(NO_SHARDS, -4, 0, "no shard is open for this")                            \
  X(SHARD_NOT_FOUND, -5, 0, "no shard has this name")                         \
  X(TABLE_NOT_FOUND, -6, 0, "no shard has this table")                        \
  X(RECORD_NOT_FOUND, -7, 0, "no row has this key")                           \
  X(MAPPING_NOT_FOUND, -8, 0, "the key has no mapping")                       \
  X(CONFLICT, -9, 0, "one key was found in two places")                       \
  X(CONSTRAINT, -10, 0, "a constraint of the table refused the row")          \
  X(SQL, -11, 0, "the statement could not be prepared or run")                \
  X(BUSY, -12, 1, "the shard is locked by another connection or transaction") \
  X(MOVED, -13, 1, "the key moved to another shard meanwhile")                \
  X(MOVING, -14, 1, "the key is being moved")                                 \
  X(UNAVAILABLE, -15, 1, "the shard can not be reached")                      \
  X(TIMEOUT, -16, 1, "the deadline passed")                                   \
  X(OUTCOME_UNKNOWN, -17, 0, "a write was sent and its answer was lost")      \
  X(RATE_LIMITED, -18, 1, "the service asks to slow down")                    \
  X(AUTH, -19, 0, "the service refused the credentials")                      \
  X(READONLY, -20, 0, "the shard can not be written")                         \
  X(CORRUPT, -21, 0, "the file is no SQLite database, or damaged")            \
  X(FULL, -22, 0, "there is no room left")                                    \
  X(TOO_LARGE, -23, 0, "a value, statement or answer is over its limit")      \
  X(UNSUPPORTED, -24, 0, "this kind of shard can not do that")                \
  X(NOMEM, -25, 0, "memory ran out")                                          \
  X(CLOSED, -26, 0, "the object was closed")                                  \
  X(INTERNAL, -27, 0, "a fault of CollegeDB itself")

enum cdb_code {
  CDB_OK = 0,
#define CDB_CODE_ENUM(name, value, retryable, text) CDB_##name = value,
  CDB_ERROR_CODES(CDB_CODE_ENUM)
#undef CDB_CODE_ENUM
};

/* What a value is; SQLite's five. */
enum cdb_type { CDB_NULL = 0, CDB_INTEGER = 1, CDB_REAL = 2, CDB_TEXT = 3, CDB_BLOB = 4 };

typedef struct cdb cdb;           /* a router; one thread at a time */
typedef struct cdb_rows cdb_rows; /* rows of one statement, forward only */

/* One SQL value. `i` for CDB_INTEGER, `d` for CDB_REAL, `data` and `size`
 * (bytes) for CDB_TEXT and CDB_BLOB; nothing is copied or owned. */
typedef struct {
  int type;
  int64_t i;
  double d;
  const void *data;
  size_t size;
} cdb_value;

/* What failed: a negative code, and one sentence that says what would be
 * right. */
typedef struct {
  int code;
  char message[512];
} cdb_error;

/* Opens a router from a Lua file that returns its config (docs/config.md). */
CDB_API int cdb_open(cdb **out, const char *config_path, cdb_error *err);

/* Runs one statement on the shard of `key`: CDB_TEXT or CDB_INTEGER. On
 * success *out must be closed; a statement without rows has none to step. */
CDB_API int cdb_query(cdb *db, const cdb_value *key, const char *sql, const cdb_value *params, size_t count,
                      cdb_rows **out, cdb_error *err);

/* Steps to the next row. 1: a row is ready; 0: the end; < 0: an error code. */
CDB_API int cdb_rows_next(cdb_rows *rows, cdb_error *err);

/* How many columns the rows have; 0 for a statement without rows. */
CDB_API size_t cdb_rows_columns(const cdb_rows *rows);

/* The name of a column, counted from 0. It lives as long as the rows. */
CDB_API const char *cdb_rows_name(const cdb_rows *rows, size_t column);

/* A value of the current row; its data lives until the next step or close. When memory is too short for it,
 * it is NULL, and the next step fails. */
CDB_API cdb_value cdb_rows_value(const cdb_rows *rows, size_t column);

/* Rows changed by the statement, once it has ended. */
CDB_API int64_t cdb_rows_changes(const cdb_rows *rows);

/* Closes the rows, also after cdb_close. NULL is allowed. */
CDB_API void cdb_rows_close(cdb_rows *rows);

/* Writes the name of the shard where `key` lives, or would live, to `shard`. */
CDB_API int cdb_locate(cdb *db, const cdb_value *key, char *shard, size_t size, cdb_error *err);

/* Closes the router. Rows that are open end, and still have to be closed. NULL
 * is allowed. */
CDB_API void cdb_close(cdb *db);

/* The name of a code: "BUSY" for CDB_BUSY; "UNKNOWN" for a number that is no code. */
CDB_API const char *cdb_code_name(int code);

#ifdef __cplusplus
}
#endif
#endif
