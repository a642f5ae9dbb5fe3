/* Statements as D1 takes them: read in d1_sql.c, rewritten in d1_rewrite.c. Its interface makes a float of
 * every number and takes at most 100 parameters, so a statement is rewritten: its parameters go in as one
 * JSON array, and its columns come out as text that names their type.
 *
 * A value comes out as d1_answer.c reads it: NULL as null, a real as a number,
 * anything else as text whose first byte is its type. `i` an integer in digits,
 * `t` text, `h` text and `b` a blob in hexadecimal digits, `r+` and `r-` infinity. */
#ifndef CDB_SHARD_D1_SQL_H
#define CDB_SHARD_D1_SQL_H

#include "core/error.h"
#include "core/scanner.h"
#include "core/text.h"

typedef enum { CDB__D1_NAME, CDB__D1_QUOTED, CDB__D1_PARAMETER, CDB__D1_SIGN, CDB__D1_OTHER } cdb__d1_kind;

typedef struct {
  cdb__d1_kind kind;
  size_t from, to; /* bytes of the statement */
  int number;      /* of a parameter */
} cdb__d1_token;

typedef struct {
  const char *sql; /* not owned */
  cdb__sql_kind kind;
  char table[256]; /* the main table, unquoted; "" if none */
  bool reads;      /* SELECT or VALUES, whose columns can be rewritten */
  cdb__d1_token *tokens;
  size_t count;
  size_t start;     /* where the statement begins, without semicolons and comments */
  size_t stop;      /* where the statement ends, without semicolon and comments */
  size_t returning; /* position of that word's token; 0: none */
  bool all;         /* RETURNING has a `*` */
  int parameters;
  char **names; /* of parameters, as SQLite gives them; NULL for a bare one */
} cdb__d1_sql;

int cdb__d1_sql_read(cdb__d1_sql *out, const char *sql, size_t size, cdb__fault *fault);
void cdb__d1_sql_free(cdb__d1_sql *sql);

/* Is the token, if there is one, this word or this sign? */
bool cdb__d1_is_word(const cdb__d1_sql *sql, size_t token, const char *word);
bool cdb__d1_is_sign(const cdb__d1_sql *sql, size_t token, char sign);

/* The JSON array of the values. */
void cdb__d1_values(cdb__text *out, const cdb_value *values, int count);

/* The statement with an expression for each parameter, and all else as it is. */
void cdb__d1_plain(cdb__text *out, const cdb__d1_sql *sql, const cdb_value *values);

/* `statement`, which reads, so that its columns come encoded; it fails if they are not these any more.
 * `limit`: at most so many rows; 0 is all. */
void cdb__d1_encoded(cdb__text *out, const cdb__text *statement, char *const *columns, int count, int limit);

/* A statement that writes so that what it returns comes encoded. For RETURNING * the columns of its table are
 * given. `numbered`: each name has the column's number before it, so that no two are the same. */
void cdb__d1_returning(cdb__text *out, const cdb__d1_sql *sql, const cdb_value *values, char *const *columns,
                       int count, bool numbered);
/* A column's own name of one that is numbered so. */
const char *cdb__d1_unnumbered(const char *name);

/* Can the rows be asked for in pages, by the row ids of the only table? */
bool cdb__d1_has_pages(const cdb__d1_sql *sql);
/* Does it read, and can a LIMIT be put behind it? */
bool cdb__d1_takes_limit(const cdb__d1_sql *sql);
/* Such a statement's rows with ids above `after`, at most `rows`; the id is one more column behind its own,
 * NULL where the table has none. */
void cdb__d1_page(cdb__text *out, const cdb__d1_sql *sql, const cdb_value *values, bool first, int64_t after,
                  int rows);

#endif
