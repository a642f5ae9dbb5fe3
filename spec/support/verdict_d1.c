/* Is what is sent to D1 for a statement (src/shard/d1_rewrite.c) one that SQLite takes as it takes the
 * statement itself: with its parameters, its kind, its table, and its columns? */
#include "verdict.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/d1_sql.h"

enum { MOST = 100 }; /* D1's columns; and parameters, so that the texts stay short */

typedef struct {
  sqlite3 *db;
  const char *sql;
  const verdict *original;
  const cdb__d1_sql *read;
  cdb_value values[MOST];
  char *columns[MOST]; /* of the statement */
  char *all[MOST];     /* of the table of RETURNING * */
  int all_count;
  char *why;
  size_t room;
} attempt;

static bool differ(attempt *a, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(a->why, a->room, format, args);
  va_end(args);
  return false;
}

/* Values of each type in turn. */
static void fill(cdb_value *values) {
  for (int i = 0; i < MOST; i++) {
    static const char text[] = "it's \xff \"quoted\"";
    switch (i % 4) {
      case 0: values[i] = (cdb_value){.type = CDB_INTEGER, .i = i + 1}; break;
      case 1: values[i] = (cdb_value){.type = CDB_TEXT, .data = "text", .size = 4}; break;
      case 2: values[i] = (cdb_value){.type = CDB_REAL, .d = i % 8 == 2 ? 0.1 : -HUGE_VAL}; break;
      default: values[i] = (cdb_value){.type = CDB_TEXT, .data = text, .size = sizeof text - 1};
    }
  }
}

static int take_columns(sqlite3 *db, const char *sql, char **out) {
  sqlite3_stmt *stmt = NULL;
  if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK || !stmt) return 0;
  int count = sqlite3_column_count(stmt);
  if (count > MOST) count = 0;
  for (int i = 0; i < count; i++) out[i] = strdup(sqlite3_column_name(stmt, i));
  sqlite3_finalize(stmt);
  return count;
}

static void free_all(char **list) {
  for (int i = 0; i < MOST; i++) free(list[i]);
}

/* SQLite takes the text, and finds in it what it finds in the statement. `columns`: so many. */
static bool is_as_good(attempt *a, const char *what, const cdb__text *text, int columns) {
  verdict v;
  if (text->failed || !text->data) return differ(a, "%s: no text", what);
  verdict_of(a->db, text->data, text->size, &v);
  /* A collation matters only where something is compared; and END can be a name, but where is a matter of
   * CASE. */
  if (v.code != SQLITE_OK)
    return strncmp(sqlite3_errmsg(a->db), "no such collation sequence", 26) == 0 ||
           strcmp(sqlite3_errmsg(a->db), "near \"END\": syntax error") == 0 ||
           differ(a, "%s: %s, of %s", what, sqlite3_errmsg(a->db), text->data);
  if (v.tail != text->size) return differ(a, "%s: it ends at byte %zu of %s", what, v.tail, text->data);
  if (v.kind != a->original->kind || v.readonly != a->original->readonly ||
      strcmp(v.table, a->original->table) != 0)
    return differ(a, "%s: kind %d of table \"%s\" became kind %d of \"%s\": %s", what, a->original->kind,
                  a->original->table, v.kind, v.table, text->data);
  if (v.columns != columns)
    return differ(a, "%s: %d columns became %d: %s", what, columns, v.columns, text->data);
  return true;
}

/* --- parameters -------------------------------------------------------------------------------- */

static bool same_parameters(attempt *a) {
  sqlite3_stmt *stmt = NULL;
  bool same = a->read->parameters == a->original->parameters;
  sqlite3_prepare_v2(a->db, a->sql, -1, &stmt, NULL);
  for (int i = 1; stmt && same && i <= a->original->parameters; i++) {
    const char *name = sqlite3_bind_parameter_name(stmt, i), *ours = a->read->names[i - 1];
    same = (!name && !ours) || (name && ours && strcmp(name, ours) == 0);
  }
  sqlite3_finalize(stmt);
  return same ||
         differ(a, "other parameters: %d, for SQLite %d", a->read->parameters, a->original->parameters);
}

/* --- columns ------------------------------------------------------------------------------------ */

static bool is_plain_good(attempt *a, cdb__text *text) {
  cdb__d1_plain(text, a->read, a->values);
  return is_as_good(a, "plain", text, a->original->columns);
}

/* The columns are called as D1 has answered. Those without AS may have other names in a subquery: what D1
 * says then is known for that (src/shard/d1_fetch.c). */
static bool is_encoded_good(attempt *a, cdb__text *text) {
  cdb__text statement = {0};
  char *names[MOST] = {0};
  cdb__d1_plain(&statement, a->read, a->values);
  const int count = take_columns(a->db, statement.data, names);
  cdb__d1_encoded(text, &statement, names, count, 0);
  cdb__text_free(&statement);
  free_all(names);
  verdict v;
  if (count != a->original->columns) return differ(a, "encoded: %d columns", count);
  verdict_of(a->db, text->data, text->size, &v);
  if (v.code == SQLITE_ERROR && strncmp(sqlite3_errmsg(a->db), "no such column: ", 16) == 0) return true;
  return is_as_good(a, "encoded", text, a->original->columns);
}

/* "x" where there is no such column is a string, for an old mistake's sake, and called so with its quotes.
 * The name of an expression goes on to the end of what follows it. */
static bool is_odd(const char *original) {
  return original[0] == '"' || strstr(original, "--") || strstr(original, "/*");
}

static bool is_returning_good(attempt *a, cdb__text *text, bool numbered) {
  char *names[MOST] = {0};
  cdb__d1_returning(text, a->read, a->values, a->all, a->all_count, numbered);
  if (!is_as_good(a, "returning", text, a->original->columns)) return false;
  const int count = take_columns(a->db, text->data, names);
  bool same = true;
  for (int i = 0; i < count && same; i++) {
    const char *name = numbered ? cdb__d1_unnumbered(names[i]) : names[i];
    /* As the statement writes it; SQLite would call it as its table does (docs/d1.md). */
    same = sqlite3_stricmp(name, a->columns[i]) == 0 || is_odd(a->columns[i]) ||
           differ(a, "returning: the column \"%s\" became \"%s\": %s", a->columns[i], name, text->data);
  }
  free_all(names);
  return same;
}

/* --- all ------------------------------------------------------------------------------------------ */

static bool check(attempt *a) {
  cdb__text text = {0};
  const bool writes = a->original->kind == CDB__SQL_INSERT || a->original->kind == CDB__SQL_UPDATE ||
                      a->original->kind == CDB__SQL_DELETE;
  if (!same_parameters(a)) return false;
  bool good = is_plain_good(a, &text);
  cdb__text_clear(&text);
  if (good && a->read->reads && a->original->columns <= MOST) good = is_encoded_good(a, &text);
  if (good && writes && (a->read->returning != 0) != (a->original->columns > 0))
    good = differ(a, "RETURNING is %s", a->read->returning ? "seen where it is not" : "overlooked");
  for (int numbered = 0; good && a->read->returning && a->original->columns <= MOST && numbered < 2;
       numbered++) {
    cdb__text_clear(&text);
    good = is_returning_good(a, &text, numbered);
  }
  cdb__text_free(&text);
  return good;
}

static bool check_read(attempt *a) {
  fill(a->values);
  if (take_columns(a->db, a->sql, a->columns) == 0 && a->original->columns > 0) return true; /* too many */
  if (a->read->returning) {
    char *select = sqlite3_mprintf("SELECT * FROM \"%w\"", a->original->table);
    a->all_count = take_columns(a->db, select, a->all);
    sqlite3_free(select);
  }
  const bool good = check(a);
  free_all(a->columns);
  free_all(a->all);
  return good;
}

bool verdict_rewrites(sqlite3 *db, const char *sql, size_t size, char *why, size_t room) {
  verdict v;
  cdb__d1_sql read;
  cdb__sql_info info;
  cdb__fault fault;
  char *text = strndup(sql, size); /* up to a NUL, as a statement of D1's shard */
  attempt a = {.db = db, .sql = text, .original = &v, .read = &read, .why = why, .room = room};
  verdict_of(db, text, strlen(text), &v);
  cdb__sql_scan(text, strlen(text), &info);
  bool good = true;
  if (v.code == SQLITE_OK && v.holds && !info.second && v.parameters <= MOST) {
    if (cdb__d1_sql_read(&read, text, strlen(text), &fault) != CDB_OK) good = differ(&a, "%s", fault.message);
    else {
      good = check_read(&a);
      cdb__d1_sql_free(&read);
    }
  }
  free(text);
  return good;
}
