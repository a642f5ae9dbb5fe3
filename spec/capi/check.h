/* For the test programs of the C interface: checks that count, and short ways
 * to make values and to run statements. */
#ifndef CDB_SPEC_CHECK_H
#define CDB_SPEC_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <collegedb.h>

static int failures;
static cdb_error err;

#define CHECK(condition)                                                                                    \
  ((condition) ? (void)0                                                                                    \
               : (void)(failures++, printf("%s:%d: %s [%d %s]\n", __FILE__, __LINE__, #condition, err.code, \
                                           err.message)))

/* The expression fails with the code, the error says so too, and its message has the words. */
#define FAILS(expected, words, expression)                                                                \
  do {                                                                                                    \
    memset(&err, 0x55, sizeof err);                                                                       \
    err.message[0] = '\0';                                                                                \
    const int code_ = (expression);                                                                       \
    CHECK(code_ == (expected) && err.code == (expected) && strstr(err.message, (words)) != NULL);         \
    CHECK(memchr(err.message, '\0', sizeof err.message) && !strchr(err.message, '\n') && err.message[0]); \
  } while (0)

static inline cdb_value text_n(const void *s, size_t size) {
  return (cdb_value){.type = CDB_TEXT, .data = s, .size = size};
}
static inline cdb_value text(const char *s) { return text_n(s, strlen(s)); }
static inline cdb_value integer(int64_t i) { return (cdb_value){.type = CDB_INTEGER, .i = i}; }
static inline cdb_value real(double d) { return (cdb_value){.type = CDB_REAL, .d = d}; }
static inline cdb_value null(void) { return (cdb_value){.type = CDB_NULL}; }
static inline cdb_value blob(const void *s, size_t size) {
  return (cdb_value){.type = CDB_BLOB, .data = s, .size = size};
}

static inline int same(cdb_value a, cdb_value b) {
  if (a.type != b.type) return 0;
  switch (a.type) {
    case CDB_NULL: return 1;
    case CDB_INTEGER: return a.i == b.i;
    case CDB_REAL: return memcmp(&a.d, &b.d, sizeof a.d) == 0;
    default: return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
  }
}

/* The rows of a statement that must begin well. */
static inline cdb_rows *query_n(cdb *db, const char *key, const char *sql, const cdb_value *params,
                                size_t count) {
  const cdb_value k = text(key);
  cdb_rows *rows = NULL;
  CHECK(cdb_query(db, &k, sql, params, count, &rows, &err) == CDB_OK);
  return rows;
}
static inline cdb_rows *query(cdb *db, const char *key, const char *sql) {
  return query_n(db, key, sql, NULL, 0);
}

/* Runs a statement to its end; returns the changes, and the number of rows in *count. */
static inline int64_t run_n(cdb *db, const char *key, const char *sql, const cdb_value *params,
                            size_t params_count, int *count) {
  cdb_rows *rows = query_n(db, key, sql, params, params_count);
  int n = 0, code;
  while ((code = cdb_rows_next(rows, &err)) == 1) n++;
  CHECK(code == 0);
  const int64_t changes = cdb_rows_changes(rows);
  cdb_rows_close(rows);
  if (count) *count = n;
  return changes;
}
static inline int64_t run(cdb *db, const char *key, const char *sql) {
  return run_n(db, key, sql, NULL, 0, NULL);
}

static inline int failing(cdb *db, const char *key, const char *sql) {
  const cdb_value k = text(key);
  cdb_rows *rows = (cdb_rows *)&failures;
  const int code = cdb_query(db, &k, sql, NULL, 0, &rows, &err);
  CHECK(rows == NULL);
  return code;
}

/* Writes a config file; returns its path. */
static inline const char *config(const char *body) {
  FILE *file = fopen("config.lua", "wb");
  if (!file || fputs(body, file) < 0 || fclose(file) != 0) abort();
  return "config.lua";
}

static inline cdb *opened(const char *body) {
  cdb *db = NULL;
  CHECK(cdb_open(&db, config(body), &err) == CDB_OK);
  if (!db) exit(1);
  return db;
}

static inline int finish(void) {
  if (failures == 0) printf("ok\n");
  return failures != 0;
}

#endif
