#include "shard/d1.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/d1.h"
#include "net/jansson.h"
#include "shard/d1_answer.h"
#include "shard/d1_sql.h"

/* D1's limits (developers.cloudflare.com/d1/platform/limits), looked at before anything is sent, and ours. */
enum { SQL_LIMIT = 100000, VALUES_LIMIT = 2000000, COLUMN_LIMIT = 100 };
enum { ANSWER_LIMIT = 64 << 20, CONNECT_MS = 10000, ATTEMPTS = 5, PARALLEL = 16, PAGE_ROWS = 1000 };

typedef struct {
  cdb__shard base;
  cdb__d1_options options; /* its texts are owned */
  cdb__jansson jansson;
} d1_shard;

/* What the next request of a statement asks for. */
typedef enum {
  NOTHING,
  PLAIN,   /* the statement as it is; of one that reads, to learn its columns */
  ENCODED, /* the rows of one whose columns are known */
  NAMES,   /* the columns of one that gave no row */
  TABLE,   /* the columns of the table of RETURNING * */
  WRITE    /* a statement that changes rows */
} ask;

typedef struct {
  char **list;
  int count;
} names;

typedef struct {
  cdb__stmt base;
  cdb__d1_sql sql;
  cdb_value *values; /* that are bound */
  names columns;     /* that it had last */
  names table;       /* of RETURNING * */
  bool exact;        /* its values have to be asked for encoded */
  bool fetched;
  ask next;
  int64_t ends; /* the deadline of all its requests */
  int code;     /* of fetching */
  cdb__fault fault;
  cdb__d1_answer answer;
  bool encoded;     /* the answer is */
  size_t at;        /* rows that were given */
  bool paged;       /* the rows come in pages */
  size_t page_rows; /* of so many */
  bool first;       /* the page is the first */
  int64_t row_id;   /* the last of the pages before */
  cdb_value *row;
  char *room; /* for values of the row */
  cdb__text statement, values_json, sent, body;
} d1_stmt;

static d1_shard *shard_of(cdb__shard *shard) { return (d1_shard *)shard; }
static d1_stmt *stmt_of(cdb__stmt *stmt) { return (d1_stmt *)stmt; }
static const cdb__jansson *jansson_of(const d1_stmt *s) { return &shard_of(s->base.shard)->jansson; }

static bool is_write(const d1_stmt *s) { return s->next == WRITE; }

/* --- failures ------------------------------------------------------------------------------ */

__attribute__((format(printf, 3, 4))) static int fail(d1_stmt *s, int code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  s->code = code;
  s->fault = (cdb__fault){.code = code};
  vsnprintf(s->fault.message, sizeof s->fault.message, format, args);
  va_end(args);
  return code;
}

static int no_memory(d1_stmt *s) { return fail(s, CDB_NOMEM, "no memory for a statement of D1"); }

/* What SQLite says of a statement, in D1's words. */
static int verdict(const char *message) {
  static const struct {
    const char *text;
    int code;
  } verdicts[] = {{"collegedb:moved", CDB_MOVED},      {"SQLITE_CONSTRAINT", CDB_CONSTRAINT},
                  {"SQLITE_MISMATCH", CDB_CONSTRAINT}, {"SQLITE_TOOBIG", CDB_TOO_LARGE},
                  {"SQLITE_FULL", CDB_FULL},           {"SQLITE_READONLY", CDB_READONLY},
                  {"SQLITE_BUSY", CDB_BUSY},           {"SQLITE_CORRUPT", CDB_CORRUPT},
                  {"SQLITE_NOTADB", CDB_CORRUPT}};
  for (size_t i = 0; i < sizeof verdicts / sizeof *verdicts; i++)
    if (strstr(message, verdicts[i].text)) return verdicts[i].code;
  return CDB_SQL;
}

/* For an answer that is none. A write that may have been done is OUTCOME_UNKNOWN. */
static void refuse(d1_stmt *s, const cdb__net_answer *answer, bool write) {
  cdb__text text = {0};
  cdb__d1_answer_errors(jansson_of(s), answer->body, answer->size, &text);
  if (text.data) cdb__net_hide(text.data, shard_of(s->base.shard)->options.token);
  const char *said = text.data && !text.failed ? text.data : "";
  if (answer->cause == CDB__NET_SQL_ERROR && *said) {
    const int code = verdict(said);
    fail(s, code, "%s", code == CDB_MOVED ? "the key was moved to another shard, or is on its way" : said);
  } else if (answer->cause == CDB__NET_OK) {
    fail(s, write ? CDB_OUTCOME_UNKNOWN : CDB_UNAVAILABLE, "%s%s",
         *said ? said : "it answered in a way that is not understood",
         write ? "; the write may have been done or not" : "");
  } else {
    fail(s, answer->fault.code, "%s%s%s", answer->fault.message, *said ? ": " : "", said);
  }
  s->fault.http_status = (int)answer->status;
  s->fault.retry_after_ms = answer->retry_after_ms > 0 ? answer->retry_after_ms : 0;
  cdb__text_free(&text);
}

/* --- names of columns ------------------------------------------------------------------------ */

static void free_names(names *n) {
  for (int i = 0; i < n->count; i++) free(n->list[i]);
  free(n->list);
  *n = (names){0};
}

/* The first `count` names of the answer, or values of its first column. */
static bool read_names(const d1_stmt *s, size_t count, bool of_rows, names *out) {
  const cdb__jansson *jansson = jansson_of(s);
  *out = (names){.list = calloc(count + 1, sizeof *out->list)};
  if (!out->list) return false;
  for (size_t i = 0; i < count; i++) {
    const char *name =
        of_rows ? jansson->string_value(jansson->array_get(jansson->array_get(s->answer.rows, i), 0))
                : cdb__d1_answer_name(jansson, &s->answer, i);
    out->list[i] = strdup(name ? name : "");
    if (!out->list[i]) {
      free_names(out);
      return false;
    }
    out->count++;
  }
  return true;
}

static bool same_names(const names *a, const names *b) {
  if (a->count != b->count) return false;
  for (int i = 0; i < a->count; i++)
    if (strcmp(a->list[i], b->list[i]) != 0) return false;
  return true;
}

/* The columns are those of the answer now. */
static int take_columns(d1_stmt *s) {
  names now;
  const size_t hidden = s->paged ? 1 : 0;
  if (s->answer.columns < hidden || s->answer.columns - hidden > COLUMN_LIMIT)
    return fail(s, is_write(s) ? CDB_OUTCOME_UNKNOWN : CDB_UNAVAILABLE,
                "it answered with %zu columns, where D1 has at most %d", s->answer.columns, COLUMN_LIMIT);
  if (!read_names(s, s->answer.columns - hidden, false, &now)) return no_memory(s);
  if (s->row && same_names(&now, &s->columns)) {
    free_names(&now);
    return CDB_OK;
  }
  cdb_value *row = calloc((size_t)now.count + 1, sizeof *row);
  if (!row) {
    free_names(&now);
    return no_memory(s);
  }
  free(s->row);
  s->row = row;
  if (s->columns.list || s->base.host) s->base.prepared++;
  free_names(&s->columns);
  s->columns = now;
  s->base.columns = now.count;
  return CDB_OK;
}

/* --- requests ----------------------------------------------------------------------------------- */

static void write_statement(d1_stmt *s) {
  cdb__text *out = &s->statement;
  cdb__text_clear(out);
  if (s->paged && (s->next == PLAIN || s->next == ENCODED))
    cdb__d1_page(out, &s->sql, s->values, s->first, s->row_id, (int)s->page_rows);
  else if (s->next == WRITE && s->sql.returning)
    cdb__d1_returning(out, &s->sql, s->values, s->table.list, s->table.count);
  else cdb__d1_plain(out, &s->sql, s->values);
}

/* The columns of a page have the row id behind them. */
static void write_encoded(d1_stmt *s) {
  const int count = s->columns.count + (s->paged ? 1 : 0);
  char *columns[COLUMN_LIMIT + 1];
  for (int i = 0; i < s->columns.count; i++) columns[i] = s->columns.list[i];
  columns[s->columns.count] = (char *)"_collegedb_row";
  cdb__d1_encoded(&s->sent, &s->statement, columns, count, s->base.wanted == CDB__WANT_FIRST ? 1 : 0);
}

static void write_sent(d1_stmt *s) {
  cdb__text_clear(&s->sent);
  switch (s->next) {
    case ENCODED: write_encoded(s); return;
    case NAMES:
      cdb__text_printf(
          &s->sent,
          "WITH _collegedb_q AS (%s\n) SELECT _collegedb_q.* FROM (SELECT 1) LEFT JOIN _collegedb_q "
          "LIMIT 1",
          s->statement.data);
      return;
    case TABLE:
      cdb__text_puts(&s->sent, "SELECT name FROM pragma_table_xinfo('");
      for (const char *c = s->sql.table; *c; c++)
        cdb__text_add(&s->sent, *c == '\'' ? "''" : c, *c == '\'' ? 2 : 1);
      cdb__text_puts(&s->sent, "') WHERE hidden <> 1 ORDER BY cid");
      return;
    default: cdb__text_add(&s->sent, s->statement.data ? s->statement.data : "", s->statement.size);
  }
}

static int64_t now(void) {
  const cdb__clock clock = cdb__clock_system();
  return cdb__clock_now(&clock);
}

static int build(d1_stmt *s, cdb__net_request *request) {
  static const char *const headers[] = {"Content-Type: application/json", NULL};
  const cdb__d1_options *to = &shard_of(s->base.shard)->options;
  write_statement(s);
  write_sent(s);
  cdb__text_clear(&s->values_json);
  cdb__d1_values(&s->values_json, s->values, s->base.parameters);
  if (s->sent.size > SQL_LIMIT || s->values_json.size > VALUES_LIMIT)
    return fail(
        s, CDB_TOO_LARGE,
        "D1 takes statements of %d bytes and values of %d bytes; as they are sent, these have %zu and %zu",
        SQL_LIMIT, VALUES_LIMIT, s->sent.size, s->values_json.size);
  cdb__text_clear(&s->body);
  cdb__text_puts(&s->body, "{\"sql\":");
  cdb__text_json(&s->body, s->sent.data, s->sent.size);
  if (s->base.parameters > 0 && s->next != TABLE) {
    cdb__text_puts(&s->body, ",\"params\":[");
    cdb__text_json(&s->body, s->values_json.data, s->values_json.size);
    cdb__text_puts(&s->body, "]");
  }
  cdb__text_puts(&s->body, "}");
  if (s->statement.failed || s->sent.failed || s->values_json.failed || s->body.failed) return no_memory(s);
  *request = (cdb__net_request){.method = "POST",
                                .url = to->url,
                                .headers = headers,
                                .token = to->token,
                                .ca_file = to->ca_file,
                                .body = s->body.data,
                                .body_size = s->body.size,
                                .write = is_write(s),
                                .attempts = ATTEMPTS,
                                .deadline_ms = s->ends - now(),
                                .connect_ms = CONNECT_MS,
                                .limit = ANSWER_LIMIT,
                                .budget = to->budget,
                                .judge = cdb__d1_judge};
  return CDB_OK;
}

/* --- answers ---------------------------------------------------------------------------------------- */

/* The rows came as they are: good, if they can be taken so. Else they are asked for again, encoded. */
static void take_plain(d1_stmt *s) {
  const bool without_names = s->answer.count == 0 && s->answer.columns == 0;
  s->next = NOTHING;
  s->encoded = false;
  if (without_names && s->sql.reads && s->base.wanted == CDB__WANT_RESULT) s->next = NAMES;
  if (without_names || take_columns(s) != CDB_OK) return;
  if (!s->sql.reads) return;
  /* What gives more rows than the first one alone needs is asked for with a limit from now on. */
  if (s->base.wanted == CDB__WANT_FIRST && s->answer.count > 1) s->exact = true;
  if (s->answer.plain) return;
  s->exact = true;
  s->next = ENCODED;
}

static void take_encoded(d1_stmt *s) {
  const size_t expected = (size_t)s->columns.count + (s->paged ? 1 : 0);
  s->next = NOTHING;
  s->encoded = true;
  if (s->answer.count > 0 && s->answer.columns != expected)
    fail(s, CDB_UNAVAILABLE, "it answered with other columns than it was asked for");
}

static void take_names(d1_stmt *s) {
  s->next = NOTHING;
  take_columns(s);
  s->answer.count = 0;
}

static void take_table(d1_stmt *s) {
  free_names(&s->table);
  if (!read_names(s, s->answer.count, true, &s->table)) no_memory(s);
  else if (s->table.count == 0) fail(s, CDB_SQL, "no such table: %s", s->sql.table);
  s->next = WRITE;
}

static void take_write(d1_stmt *s) {
  s->encoded = s->sql.returning != 0;
  if (s->answer.columns) take_columns(s);
  s->next = NOTHING;
}

/* Large rows come in smaller pages. */
static bool takes_smaller_page(d1_stmt *s, cdb__net_cause cause) {
  if (cause != CDB__NET_LARGE || !s->paged || s->page_rows == 1) return false;
  s->page_rows = (s->page_rows + 3) / 4;
  s->code = CDB_OK;
  return true;
}

/* A statement may fail when it is asked for otherwise than it was written: it is asked again, as it is, then.
 */
static bool may_ask_again(d1_stmt *s) {
  if (s->code != CDB_SQL) return false;
  if (s->next == ENCODED && s->first && !s->answer.root && s->exact) {
    s->exact = false;
    s->next = PLAIN;
  } else if (s->paged && s->first && s->next == PLAIN) {
    s->paged = false; /* no rows with ids: not a table, or one without */
  } else {
    return false;
  }
  s->code = CDB_OK;
  return true;
}

static void receive(d1_stmt *s, const cdb__net_answer *answer) {
  const bool write = is_write(s), learned = s->next == ENCODED && s->answer.root;
  cdb__d1_answer read;
  const bool good = answer->cause == CDB__NET_OK && answer->body &&
                    cdb__d1_answer_read(jansson_of(s), answer->body, answer->size, &read);
  if (good) {
    cdb__d1_answer_free(jansson_of(s), &s->answer);
    s->answer = read;
    switch (s->next) {
      case ENCODED: take_encoded(s); return;
      case NAMES: take_names(s); return;
      case TABLE: take_table(s); return;
      case WRITE: take_write(s); return;
      default: take_plain(s); return;
    }
  }
  refuse(s, answer, write);
  if (takes_smaller_page(s, answer->cause) || may_ask_again(s)) return;
  if (s->code == CDB_SQL && learned)
    fail(s, CDB_UNSUPPORTED, "the columns of this statement can not be told apart: give each a name by AS");
  if (s->next == NAMES && s->code == CDB_SQL) s->code = CDB_OK; /* it has no rows, and no names either */
  s->next = NOTHING;
}

/* What is to be asked for first. */
static void plan(d1_stmt *s) {
  s->code = CDB_OK;
  cdb__d1_answer_free(jansson_of(s), &s->answer);
  s->at = 0;
  const bool changes =
      s->sql.kind == CDB__SQL_INSERT || s->sql.kind == CDB__SQL_UPDATE || s->sql.kind == CDB__SQL_DELETE;
  if (s->sql.reads) s->next = s->exact && s->columns.count ? ENCODED : PLAIN;
  else if (changes && s->sql.all) s->next = TABLE;
  else s->next = s->base.readonly ? PLAIN : WRITE;
}

/* One request for each statement that wants one. */
static void ask_all(d1_stmt **list, size_t count) {
  cdb__net_request requests[PARALLEL];
  cdb__net_answer answers[PARALLEL] = {0};
  d1_stmt *asking[PARALLEL];
  size_t n = 0;
  for (size_t i = 0; i < count; i++) {
    if (list[i]->code != CDB_OK || list[i]->next == NOTHING) continue;
    if (build(list[i], &requests[n]) == CDB_OK) asking[n++] = list[i];
  }
  if (n == 0) return;
  const cdb__d1_options *to = &shard_of(asking[0]->base.shard)->options;
  const cdb__net_options options = {PARALLEL, to->interrupted, to->context};
  cdb__fault fault;
  const int code = cdb__net_perform(to->net, requests, answers, n, &options, &fault);
  for (size_t i = 0; i < n; i++) {
    if (code != CDB_OK) fail(asking[i], code, "%s", fault.message);
    else receive(asking[i], &answers[i]);
    cdb__net_answer_free(&answers[i]);
  }
}

static bool wants_more(d1_stmt *const *list, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (list[i]->code == CDB_OK && list[i]->next != NOTHING) return true;
  return false;
}

static void begin(d1_stmt *s) { s->ends = now() + shard_of(s->base.shard)->options.deadline_ms; }

/* Whoever interrupts one of the requests interrupts all that follow. */
static void watch(const d1_stmt *s) {
  const cdb__d1_options *to = &shard_of(s->base.shard)->options;
  if (to->watch) to->watch(to->context);
}

static void fetch_all(d1_stmt **list, size_t count) {
  for (size_t i = 0; i < count; i++) plan(list[i]);
  while (wants_more(list, count)) ask_all(list, count);
  for (size_t i = 0; i < count; i++) list[i]->fetched = true;
}

/* Sends the first requests of statements together, a bounded number at once. */
static void stmts_fetch(cdb__stmt **stmts, size_t count) {
  d1_stmt *list[PARALLEL];
  if (count) watch(stmt_of(stmts[0]));
  for (size_t from = 0; from < count; from += PARALLEL) {
    const size_t n = count - from < PARALLEL ? count - from : PARALLEL;
    for (size_t i = 0; i < n; i++) {
      list[i] = stmt_of(stmts[from + i]);
      list[i]->paged = false;
      list[i]->first = true;
      begin(list[i]);
    }
    fetch_all(list, n);
  }
}

/* --- statements ----------------------------------------------------------------------------------------- */

static int stmt_prepare(cdb__shard *base, const char *sql, size_t size, cdb__stmt **out, cdb__fault *fault) {
  d1_stmt *s = calloc(1, sizeof *s);
  if (!s) return cdb__fail(fault, CDB_NOMEM, "no memory for a statement");
  int code = cdb__stmt_init(&s->base, base, sql, size, fault);
  if (code == CDB_OK) code = cdb__d1_sql_read(&s->sql, s->base.sql, size, fault);
  if (code == CDB_OK && s->sql.count == 0)
    code = cdb__fail(fault, CDB_USAGE, "the SQL text holds no statement");
  if (code == CDB_OK) {
    s->values = calloc((size_t)s->sql.parameters + 1, sizeof *s->values);
    if (!s->values) code = cdb__fail(fault, CDB_NOMEM, "no memory for a statement");
  }
  if (code != CDB_OK) {
    cdb__d1_sql_free(&s->sql);
    cdb__stmt_fini(&s->base);
    free(s);
    return code;
  }
  s->base.parameters = s->sql.parameters;
  s->base.readonly = s->sql.reads || s->sql.kind == CDB__SQL_EXPLAIN || s->sql.kind == CDB__SQL_PRAGMA;
  *out = &s->base;
  return CDB_OK;
}

static int stmt_bind(cdb__stmt *base, int index, const cdb_value *value, cdb__fault *fault) {
  if (index < 1 || index > base->parameters) return cdb__fail(fault, CDB_USAGE, "no parameter %d", index);
  stmt_of(base)->values[index - 1] = *value;
  return CDB_OK;
}

/* Decodes the next row. */
static int read_row(d1_stmt *s) {
  const cdb__jansson *jansson = jansson_of(s);
  char *room = realloc(s->room, cdb__d1_answer_room(jansson, &s->answer, s->at));
  if (!room) return no_memory(s);
  s->room = room;
  const int columns = s->columns.count + (s->paged ? 1 : 0);
  for (int i = 0; i < columns; i++) {
    if (cdb__d1_answer_value(jansson, &s->answer, s->at, (size_t)i, s->encoded, &room, &s->row[i])) continue;
    return s->base.readonly ? fail(s, CDB_UNSUPPORTED, "a value of the answer can not be told exactly")
                            : fail(s, CDB_OUTCOME_UNKNOWN,
                                   "the write was done, but a value of the answer can not be told exactly");
  }
  s->at++;
  if (!s->paged) return CDB_OK;
  const cdb_value *id = &s->row[s->columns.count];
  if (id->type == CDB_INTEGER) s->row_id = id->i;
  else if (id->type != CDB_NULL || !s->first)
    return fail(s, CDB_UNSUPPORTED, "a row has no id to go on from");
  return CDB_OK;
}

/* Rows without ids can not be asked for in pages. */
static bool lacks_ids(const d1_stmt *s) {
  const cdb__jansson *jansson = jansson_of(s);
  return s->paged && s->first && s->answer.count &&
         json_is_null(jansson->array_get(jansson->array_get(s->answer.rows, 0), s->answer.columns - 1));
}

static void fetch(d1_stmt *s) {
  watch(s);
  begin(s);
  fetch_all(&s, 1);
  if (s->code != CDB_OK || !lacks_ids(s)) return;
  s->paged = false;
  fetch_all(&s, 1);
}

static int stmt_step(cdb__stmt *base, cdb__fault *fault) {
  d1_stmt *s = stmt_of(base);
  if (!s->fetched) {
    s->first = true;
    s->page_rows = PAGE_ROWS;
    s->paged = base->wanted == CDB__WANT_PAGES && cdb__d1_has_pages(&s->sql);
    fetch(s);
  }
  while (s->code == CDB_OK && s->at == s->answer.count && s->paged && s->answer.count == s->page_rows) {
    s->first = false;
    fetch(s);
  }
  if (s->code == CDB_OK && s->at < s->answer.count && read_row(s) == CDB_OK) return CDB__ROW;
  if (s->code == CDB_OK) return CDB__DONE;
  *fault = s->fault;
  return s->code;
}

static int stmt_reset(cdb__stmt *base, cdb__fault *fault) {
  d1_stmt *s = stmt_of(base);
  (void)fault;
  cdb__d1_answer_free(jansson_of(s), &s->answer);
  free(s->room);
  s->room = NULL;
  s->fetched = false;
  s->code = CDB_OK;
  base->wanted = CDB__WANT_ALL;
  cdb__text_free(&s->values_json);
  cdb__text_free(&s->body);
  return CDB_OK;
}

static const char *stmt_column_name(cdb__stmt *stmt, int column) {
  return stmt_of(stmt)->columns.list[column];
}

static void stmt_value(cdb__stmt *stmt, int column, cdb_value *out) { *out = stmt_of(stmt)->row[column]; }

static const char *stmt_parameter_name(cdb__stmt *stmt, int index) {
  return stmt_of(stmt)->sql.names[index - 1];
}

static int64_t stmt_changes(cdb__stmt *stmt) {
  const int64_t changes = stmt_of(stmt)->answer.changes;
  return stmt->readonly || changes == CDB__D1_UNKNOWN ? 0 : changes;
}

static int64_t stmt_last_row_id(cdb__stmt *stmt) { return stmt_of(stmt)->answer.last_row_id; }

static void stmt_cost(cdb__stmt *stmt, int64_t *rows_read, int64_t *rows_written) {
  *rows_read = stmt_of(stmt)->answer.rows_read;
  *rows_written = stmt_of(stmt)->answer.rows_written;
}

static void stmt_finalize(cdb__stmt *base) {
  d1_stmt *s = stmt_of(base);
  cdb__fault ignored;
  stmt_reset(base, &ignored);
  cdb__text_free(&s->statement);
  cdb__text_free(&s->sent);
  free_names(&s->columns);
  free_names(&s->table);
  cdb__d1_sql_free(&s->sql);
  free(s->values);
  free(s->row);
  cdb__stmt_fini(base);
  free(s);
}

/* --- the shard
 * ---------------------------------------------------------------------------------------------- */

/* Runs statements without parameters to their end, in one request. `size`: what D1 says of its own. */
static int run_text(cdb__shard *base, const char *sql, size_t length, bool reads, int64_t *size,
                    cdb__fault *fault) {
  cdb__stmt *stmt;
  int code = stmt_prepare(base, sql, length, &stmt, fault);
  if (code != CDB_OK) return code;
  d1_stmt *s = stmt_of(stmt);
  if (!reads) { /* whatever the first of them is */
    s->sql.kind = CDB__SQL_OTHER;
    s->sql.returning = 0;
    s->sql.reads = stmt->readonly = false;
  }
  if (stmt->parameters) code = cdb__fail(fault, CDB_USAGE, "a script takes no parameters");
  else if (stmt_step(stmt, fault) < 0) code = fault->code;
  if (code == CDB_OK) *size = s->answer.size;
  stmt_finalize(stmt);
  return code;
}

/* How much of a script goes into one request; 0 where it has a statement that D1 does not take. */
static size_t next_part(const char *script, size_t size, bool *any) {
  size_t at = 0;
  for (*any = false; at < size;) {
    cdb__sql_info info;
    cdb__sql_scan(script + at, size - at, &info);
    const size_t length = info.end ? info.end : size - at;
    if (info.kind == CDB__SQL_TRANSACTION) return 0;
    if (*any && at + length > SQL_LIMIT) break;
    *any = *any || info.kind != CDB__SQL_EMPTY;
    at += length;
  }
  return at;
}

/* When a statement fails, those before it may stay done. */
static int shard_exec(cdb__shard *base, const char *script, cdb__fault *fault) {
  bool any;
  int64_t ignored;
  int code = CDB_OK;
  for (size_t left = strlen(script), part; left && code == CDB_OK; left -= part, script += part) {
    part = next_part(script, left, &any);
    if (!part) return cdb__fail(fault, CDB_UNSUPPORTED, "D1 has no transactions over several statements");
    if (any) code = run_text(base, script, part, false, &ignored, fault);
  }
  return code;
}

static int shard_size(cdb__shard *base, int64_t *bytes, cdb__fault *fault) {
  static const char sql[] = "SELECT NULL AS none";
  const int code = run_text(base, sql, sizeof sql - 1, true, bytes, fault);
  if (code == CDB_OK && *bytes == CDB__D1_UNKNOWN)
    return cdb__fail(fault, CDB_UNAVAILABLE, "D1 did not say how large the database is");
  return code;
}

static bool shard_in_transaction(cdb__shard *base) {
  (void)base;
  return false;
}

static uint64_t shard_stamp(cdb__shard *base) {
  (void)base;
  return 0;
}

static void shard_close(cdb__shard *base) {
  d1_shard *shard = shard_of(base);
  cdb__shard_forget_statements(base);
  cdb__net_leave(shard->options.net);
  free((char *)shard->options.name);
  free((char *)shard->options.url);
  free((char *)shard->options.ca_file);
  if (shard->options.token) explicit_bzero((char *)shard->options.token, strlen(shard->options.token));
  free((char *)shard->options.token);
  free(shard);
}

static const cdb__shard_ops d1_ops = {
    .kind = "d1",
    .prepare = stmt_prepare,
    .exec = shard_exec,
    .size = shard_size,
    .in_transaction = shard_in_transaction,
    .stamp = shard_stamp,
    .close = shard_close,
    .fetch = stmts_fetch,
    .bind = stmt_bind,
    .step = stmt_step,
    .reset = stmt_reset,
    .column_name = stmt_column_name,
    .value = stmt_value,
    .parameter_name = stmt_parameter_name,
    .changes = stmt_changes,
    .last_row_id = stmt_last_row_id,
    .cost = stmt_cost,
    .finalize = stmt_finalize,
};

static bool copy_text(const char **text) {
  if (!*text) return true;
  *text = strdup(*text);
  return *text != NULL;
}

int cdb__d1_open(cdb__shard **out, const cdb__d1_options *options, cdb__fault *fault) {
  d1_shard *shard = calloc(1, sizeof *shard);
  if (!shard) return cdb__fail(fault, CDB_NOMEM, "no memory for a shard");
  cdb__shard_init(&shard->base, &d1_ops);
  shard->base.single = true;
  shard->options = *options;
  cdb__net_enter(options->net);
  cdb__d1_options *o = &shard->options;
  const bool name = copy_text(&o->name), url = copy_text(&o->url), token = copy_text(&o->token),
             ca_file = copy_text(&o->ca_file);
  int code = name && url && token && ca_file ? CDB_OK : cdb__fail(fault, CDB_NOMEM, "no memory for a shard");
  if (code == CDB_OK) code = cdb__jansson_load(&shard->jansson, fault);
  if (code == CDB_OK) *out = &shard->base;
  else shard_close(&shard->base);
  return code;
}
