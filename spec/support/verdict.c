#include "verdict.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char schema[] =
    "CREATE TABLE users (id TEXT PRIMARY KEY, name TEXT, n INTEGER);"
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, user TEXT REFERENCES users (id), n INTEGER, note BLOB);"
    "CREATE TABLE items (id INTEGER PRIMARY KEY, parent INTEGER, a, b, c);"
    "CREATE TABLE \"my \"\"own\"\" users\" (id, \"a b\", [c;d]);"
    "CREATE TABLE replace (id, key, value); CREATE TABLE trigger (id, \"end\");"
    "CREATE TABLE größe$1 (id, [straße]); CREATE TABLE logs (what);"
    "CREATE INDEX by_name ON users (name); CREATE INDEX by_n ON orders (n);"
    "CREATE VIEW names AS SELECT id, name FROM users;"
    "CREATE VIRTUAL TABLE words USING fts5(body);"
    "CREATE TRIGGER noted AFTER INSERT ON users BEGIN INSERT INTO logs VALUES (new.id); END;"
    "CREATE TRIGGER named INSTEAD OF UPDATE ON names BEGIN UPDATE users SET name = new.name WHERE id = "
    "old.id; END;"
    "CREATE TABLE temp.t (id, a, b);";

/* Younger SQLites have unhex(); what is sent to D1 uses it. */
static void unhex(sqlite3_context *context, int count, sqlite3_value **values) {
  (void)count;
  sqlite3_result_value(context, values[0]);
}

sqlite3 *verdict_open(void) {
  sqlite3 *db = NULL;
  if (sqlite3_open(":memory:", &db) != SQLITE_OK || sqlite3_exec(db, schema, NULL, NULL, NULL) != SQLITE_OK) {
    fprintf(stderr, "verdict_open: %s\n", sqlite3_errmsg(db));
    abort();
  }
  sqlite3_create_function(db, "unhex", 1, SQLITE_UTF8 | SQLITE_INNOCUOUS, NULL, unhex, NULL, NULL);
  sqlite3_limit(db, SQLITE_LIMIT_EXPR_DEPTH, 100);
  sqlite3_limit(db, SQLITE_LIMIT_COMPOUND_SELECT, 50);
  return db;
}

/* --- what SQLite asks for ------------------------------------------------------------------- */

static void copy_name(char *out, const char *name) { snprintf(out, VERDICT_NAME, "%s", name ? name : ""); }

static void add_read(verdict *v, const char *name) {
  for (int i = 0; i < v->read_count; i++)
    if (sqlite3_stricmp(v->reads[i], name) == 0) return;
  if (v->read_count == VERDICT_READS) v->many = true;
  else copy_name(v->reads[v->read_count++], name);
}

static bool is_schema(int action) {
  return (action >= SQLITE_CREATE_INDEX && action <= SQLITE_CREATE_VIEW) ||
         (action >= SQLITE_DROP_INDEX && action <= SQLITE_DROP_VIEW) || action == SQLITE_ALTER_TABLE ||
         action == SQLITE_CREATE_VTABLE || action == SQLITE_DROP_VTABLE;
}

/* What counts more stands for the whole: a new table is also an insertion into SQLite's own. */
static int rank(cdb__sql_kind kind) {
  switch (kind) {
    case CDB__SQL_EMPTY: return 0;
    case CDB__SQL_SELECT: return 1;
    case CDB__SQL_INSERT:
    case CDB__SQL_UPDATE:
    case CDB__SQL_DELETE: return 2;
    case CDB__SQL_SCHEMA: return 3;
    default: return 4;
  }
}

static void take(verdict *v, cdb__sql_kind kind) {
  if (rank(kind) > rank(v->kind)) v->kind = kind;
}

static void take_write(verdict *v, cdb__sql_kind kind, const char *table, const char *within) {
  if (within) return;
  if (!v->table[0]) copy_name(v->table, table);
  take(v, kind);
}

static int ask(void *context, int action, const char *first, const char *second, const char *database,
               const char *within) {
  verdict *v = context;
  (void)second;
  (void)database;
  v->silent = false;
  if (is_schema(action)) take(v, CDB__SQL_SCHEMA);
  switch (action) {
    case SQLITE_SELECT: take(v, CDB__SQL_SELECT); break;
    case SQLITE_READ: add_read(v, first); break;
    case SQLITE_INSERT: take_write(v, CDB__SQL_INSERT, first, within); break;
    case SQLITE_UPDATE: take_write(v, CDB__SQL_UPDATE, first, within); break;
    case SQLITE_DELETE: take_write(v, CDB__SQL_DELETE, first, within); break;
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT: take(v, CDB__SQL_TRANSACTION); break;
    case SQLITE_ATTACH:
    case SQLITE_DETACH: take(v, CDB__SQL_ATTACH); break;
    case SQLITE_ANALYZE: take(v, CDB__SQL_OTHER); break;
    case SQLITE_REINDEX: take(v, v->kind == CDB__SQL_SCHEMA ? CDB__SQL_SCHEMA : CDB__SQL_OTHER); break;
    /* Many do what they are to do as soon as they are prepared. */
    case SQLITE_PRAGMA: take(v, CDB__SQL_PRAGMA); return SQLITE_IGNORE;
    default: break;
  }
  return SQLITE_OK;
}

static void prepare(sqlite3 *db, const char *sql, size_t size, verdict *out) {
  sqlite3_stmt *stmt = NULL;
  const char *tail = sql;
  *out = (verdict){.silent = true};
  sqlite3_set_authorizer(db, ask, out);
  out->code = sqlite3_prepare_v2(db, sql, (int)size, &stmt, &tail);
  sqlite3_set_authorizer(db, NULL, NULL);
  out->tail = (size_t)(tail - sql);
  out->holds = stmt != NULL;
  if (!stmt) return;
  if (sqlite3_stmt_isexplain(stmt)) out->kind = CDB__SQL_EXPLAIN;
  out->readonly = sqlite3_stmt_readonly(stmt) != 0;
  out->columns = sqlite3_column_count(stmt);
  out->parameters = sqlite3_bind_parameter_count(stmt);
  sqlite3_finalize(stmt);
}

/* The first use of json_each, or of any function of that sort, declares a table. */
void verdict_of(sqlite3 *db, const char *sql, size_t size, verdict *out) {
  prepare(db, sql, size, out);
  if (out->holds && strcmp(out->table, "sqlite_master") == 0) prepare(db, sql, size, out);
}

/* --- the scanner ----------------------------------------------------------------------------- */

static bool differ(char *why, size_t room, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(why, room, format, args);
  va_end(args);
  return false;
}

/* Names that SQLite has for one table. */
static const char *plain_name(const char *name) {
  if (sqlite3_stricmp(name, "sqlite_schema") == 0) return "sqlite_master";
  if (sqlite3_stricmp(name, "sqlite_temp_schema") == 0) return "sqlite_temp_master";
  return name;
}

static bool same_table(const char *a, const char *b) {
  a = plain_name(a);
  b = plain_name(b);
  /* "main.sqlite_master" and "temp.sqlite_master" are two tables of one name. */
  return sqlite3_stricmp(a, b) == 0 ||
         (!sqlite3_strnicmp(a, "sqlite_", 7) && !sqlite3_strnicmp(b, "sqlite_", 7));
}

static bool is_read(const verdict *v, const char *table) {
  for (int i = 0; i < v->read_count; i++)
    if (same_table(v->reads[i], table)) return true;
  return v->many;
}

/* Of a view whose columns are not asked for only the tables are told, and nothing of a table that only USING
 * or NATURAL makes use of. */
static bool is_untold(sqlite3 *db, const char *sql, size_t size, const char *name) {
  char *text = sqlite3_mprintf("%.*s", (int)size, sql);
  const bool joined = sqlite3_strlike("%using%", text, 0) == 0 || sqlite3_strlike("%natural%", text, 0) == 0;
  const char *look = joined ? "SELECT 1 FROM sqlite_master WHERE name = ? COLLATE NOCASE"
                            : "SELECT 1 FROM sqlite_master WHERE type = 'view' AND name = ? COLLATE NOCASE";
  sqlite3_stmt *stmt = NULL;
  sqlite3_prepare_v2(db, look, -1, &stmt, NULL);
  sqlite3_bind_text(stmt, 1, name, -1, SQLITE_TRANSIENT);
  const bool found = sqlite3_step(stmt) == SQLITE_ROW;
  sqlite3_finalize(stmt);
  sqlite3_free(text);
  return found;
}

static bool is_write(cdb__sql_kind kind) {
  return kind == CDB__SQL_INSERT || kind == CDB__SQL_UPDATE || kind == CDB__SQL_DELETE;
}

static bool kinds_agree(const cdb__sql_info *info, const verdict *v, char *why, size_t room) {
  if (!v->silent && info->kind != v->kind)
    return differ(why, room, "the kind is %d for the scanner, %d for SQLite", info->kind, v->kind);
  if (v->silent && (info->kind == CDB__SQL_SELECT || is_write(info->kind) || info->kind == CDB__SQL_EMPTY))
    return differ(why, room, "the kind is %d for the scanner, and SQLite asks for nothing", info->kind);
  if (info->kind == CDB__SQL_SELECT && !v->readonly)
    return differ(why, room, "a statement that writes is taken for one that reads");
  return true;
}

static bool tables_agree(sqlite3 *db, const char *sql, size_t size, const cdb__sql_info *info,
                         const verdict *v, char *why, size_t room) {
  char table[VERDICT_NAME] = "";
  if (info->table && cdb__sql_name(info->table, info->table_size, table, sizeof table) >= sizeof table)
    return true;
  if (is_write(info->kind) && !same_table(table, v->table))
    return differ(why, room, "the table is \"%s\" for the scanner, \"%s\" for SQLite", table, v->table);
  if (info->kind == CDB__SQL_SELECT && table[0] && !is_read(v, table) && !is_untold(db, sql, size, table))
    return differ(why, room, "the table is \"%s\" for the scanner, and SQLite does not read it", table);
  return true;
}

/* Is there one more statement, or something else than blanks, behind the first? */
static bool ends_agree(sqlite3 *db, const char *sql, size_t size, const cdb__sql_info *info, const verdict *v,
                       char *why, size_t room) {
  const size_t seen = strnlen(sql, size);
  verdict rest = {0};
  if (v->tail != info->end)
    return differ(why, room, "the statement ends at byte %zu for the scanner, %zu for SQLite", info->end,
                  v->tail);
  if (v->tail < seen) verdict_of(db, sql + v->tail, seen - v->tail, &rest);
  const bool more = rest.code != SQLITE_OK || rest.holds;
  if (more && !info->second) return differ(why, room, "the scanner overlooks what follows the statement");
  if (!more && info->second && seen == size) return differ(why, room, "the scanner sees a second statement");
  return true;
}

bool verdict_agrees(sqlite3 *db, const char *sql, size_t size, char *why, size_t room) {
  verdict v;
  cdb__sql_info info;
  verdict_of(db, sql, size, &v);
  if (v.code != SQLITE_OK) return true;
  cdb__sql_scan(sql, size, &info);
  if (!v.holds)
    return info.kind == CDB__SQL_EMPTY ||
           differ(why, room, "SQLite sees no statement, the scanner kind %d", info.kind);
  return kinds_agree(&info, &v, why, room) && tables_agree(db, sql, size, &info, &v, why, room) &&
         ends_agree(db, sql, size, &info, &v, why, room);
}
