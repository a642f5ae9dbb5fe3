/* Reads just enough of one SQL text to route it: what kind of statement it
 * is, which table it is about, and whether a second statement follows.
 *
 * The scanner never allocates and never fails: a text that it does not
 * understand is CDB__SQL_OTHER, and SQLite then says what is wrong with it.
 * Names point into the text, with their quotes; cdb__sql_name unquotes. */
#ifndef CDB_CORE_SCANNER_H
#define CDB_CORE_SCANNER_H

#include <stdbool.h>
#include <stddef.h>

typedef enum {
  CDB__SQL_EMPTY,  /* nothing but space, comments and semicolons */
  CDB__SQL_SELECT, /* SELECT, VALUES, WITH … SELECT */
  CDB__SQL_INSERT, /* INSERT, REPLACE, WITH … INSERT */
  CDB__SQL_UPDATE,
  CDB__SQL_DELETE,
  CDB__SQL_SCHEMA,      /* CREATE, ALTER, DROP */
  CDB__SQL_TRANSACTION, /* BEGIN, COMMIT, END, ROLLBACK, SAVEPOINT, RELEASE */
  CDB__SQL_ATTACH,      /* ATTACH, DETACH */
  CDB__SQL_PRAGMA,
  CDB__SQL_EXPLAIN,
  CDB__SQL_OTHER /* VACUUM, ANALYZE, REINDEX, unknown words */
} cdb__sql_kind;

typedef struct {
  cdb__sql_kind kind;
  const char *table; /* main table as written, with quotes; NULL if none */
  size_t table_size;
  bool second; /* another statement follows the first */
  size_t end;  /* bytes of the first statement, its `;` included */
} cdb__sql_info;

void cdb__sql_scan(const char *sql, size_t size, cdb__sql_info *out);

/* Copies a name without its quotes ("x", 'x', `x`, [x]; doubled quotes become
 * one) to `out`, NUL-terminated. Returns its length, or `capacity` if it does
 * not fit together with its NUL. */
size_t cdb__sql_name(const char *name, size_t size, char *out, size_t capacity);

#endif
