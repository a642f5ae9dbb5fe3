/* What SQLite itself says of a statement, by preparing it under an authorizer, and whether the scanner
 * (src/core/scanner.h) and D1's rewriting (src/shard/d1_sql.h) agree with that. Nothing is run. */
#ifndef SPEC_VERDICT_H
#define SPEC_VERDICT_H

#include <stdbool.h>
#include <stddef.h>

#include <sqlite3.h>

#include "core/scanner.h"

enum { VERDICT_NAME = 256, VERDICT_READS = 64 };

typedef struct {
  int code;           /* of preparing */
  bool holds;         /* a statement */
  cdb__sql_kind kind; /* if it holds one */
  bool silent;        /* SQLite asked for nothing, so that its kind is not known */
  bool readonly;
  char table[VERDICT_NAME]; /* the first one that it writes itself, not through a trigger; "" if none */
  char reads[VERDICT_READS][VERDICT_NAME];
  int read_count;
  bool many;   /* more tables are read than `reads` has room for */
  size_t tail; /* where the rest of the text begins */
  int columns, parameters;
} verdict;

/* A database in memory with the tables that the statements of the specs are about. */
sqlite3 *verdict_open(void);
void verdict_of(sqlite3 *db, const char *sql, size_t size, verdict *out);
/* False: `why` tells where scanner and SQLite differ about a text that SQLite takes. */
bool verdict_agrees(sqlite3 *db, const char *sql, size_t size, char *why, size_t room);
/* The same of what is sent to D1 for it. */
bool verdict_rewrites(sqlite3 *db, const char *sql, size_t size, char *why, size_t room);

#endif
