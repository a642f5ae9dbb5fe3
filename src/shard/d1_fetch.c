/* Asks D1: which requests a statement takes, what stands in them, and what their
 * answers mean. A statement that reads is asked for its columns when they are not
 * known, and then for its rows in a form in which no value can be wrong. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/d1.h"
#include "shard/d1_in.h"

enum { COLUMN_LIMIT = CDB__D1_COLUMN_LIMIT, PARALLEL = CDB__D1_PARALLEL, PAGE_ROWS = 1000 };

static bool is_write(const cdb__d1_stmt *s) { return s->next == CDB__ASK_WRITE; }

/* --- failures ------------------------------------------------------------------------------ */

int cdb__d1_fail(cdb__d1_stmt *s, int code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  s->code = code;
  s->fault = (cdb__fault){.code = code};
  vsnprintf(s->fault.message, sizeof s->fault.message, format, args);
  va_end(args);
  return code;
}

int cdb__d1_fail_memory(cdb__d1_stmt *s) {
  return cdb__d1_fail(s, CDB_NOMEM, "no memory for a statement of D1");
}

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
void cdb__d1_refuse(cdb__d1_stmt *s, const cdb__net_answer *answer, bool write) {
  cdb__text text = {0};
  cdb__d1_answer_errors(cdb__d1_jansson_of(s), answer->body, answer->size, &text);
  if (text.data) cdb__net_hide(text.data, cdb__d1_shard_of(s->base.shard)->options.token);
  const char *said = text.data && !text.failed ? text.data : "";
  if (answer->cause == CDB__NET_SQL_ERROR && *said) {
    const int code = verdict(said);
    cdb__d1_fail(s, code, "%s",
                 code == CDB_MOVED ? "the key was moved to another shard, or is on its way" : said);
  } else if (answer->cause == CDB__NET_OK) {
    cdb__d1_fail(s, write ? CDB_OUTCOME_UNKNOWN : CDB_UNAVAILABLE, "%s%s",
                 *said ? said : "it answered in a way that is not understood",
                 write ? "; the write may have been done or not" : "");
  } else {
    cdb__d1_fail(s, answer->fault.code, "%s%s%s", answer->fault.message, *said ? ": " : "", said);
  }
  s->fault.http_status = (int)answer->status;
  s->fault.retry_after_ms = answer->retry_after_ms > 0 ? answer->retry_after_ms : 0;
  cdb__text_free(&text);
}

/* --- names of columns ------------------------------------------------------------------------ */

void cdb__d1_free_names(cdb__d1_names *n) {
  for (int i = 0; i < n->count; i++) free(n->list[i]);
  free(n->list);
  *n = (cdb__d1_names){0};
}

/* The first `count` names of the answer, or values of its first column. */
static bool read_names(const cdb__d1_stmt *s, size_t count, bool of_rows, cdb__d1_names *out) {
  const cdb__jansson *jansson = cdb__d1_jansson_of(s);
  *out = (cdb__d1_names){.list = calloc(count + 1, sizeof *out->list)};
  if (!out->list) return false;
  for (size_t i = 0; i < count; i++) {
    const char *name =
        of_rows ? jansson->string_value(jansson->array_get(jansson->array_get(s->answer.rows, i), 0))
                : cdb__d1_answer_name(jansson, &s->answer, i);
    if (!of_rows && name && is_write(s) && cdb__d1_is_gateway(s)) name = cdb__d1_unnumbered(name);
    out->list[i] = strdup(name ? name : "");
    if (!out->list[i]) {
      cdb__d1_free_names(out);
      return false;
    }
    out->count++;
  }
  return true;
}

static bool same_names(const cdb__d1_names *a, const cdb__d1_names *b) {
  if (a->count != b->count) return false;
  for (int i = 0; i < a->count; i++)
    if (strcmp(a->list[i], b->list[i]) != 0) return false;
  return true;
}

/* The columns are those of the answer now. */
static int take_columns(cdb__d1_stmt *s) {
  cdb__d1_names now;
  const size_t hidden = s->paged ? 1 : 0;
  if (s->answer.columns < hidden || s->answer.columns - hidden > COLUMN_LIMIT)
    return cdb__d1_fail(s, is_write(s) ? CDB_OUTCOME_UNKNOWN : CDB_UNAVAILABLE,
                        "it answered with %zu columns, where D1 has at most %d", s->answer.columns,
                        COLUMN_LIMIT);
  if (!read_names(s, s->answer.columns - hidden, false, &now)) return cdb__d1_fail_memory(s);
  if (s->row && same_names(&now, &s->columns)) {
    cdb__d1_free_names(&now);
    return CDB_OK;
  }
  cdb_value *row = calloc((size_t)now.count + 1, sizeof *row);
  if (!row) {
    cdb__d1_free_names(&now);
    return cdb__d1_fail_memory(s);
  }
  free(s->row);
  s->row = row;
  if (s->columns.list || s->base.host) s->base.prepared++;
  cdb__d1_free_names(&s->columns);
  s->columns = now;
  s->base.columns = now.count;
  return CDB_OK;
}

/* --- answers ---------------------------------------------------------------------------------------- */

/* A copy of the database may not have the row yet: then the database itself is asked. */
static bool is_to_ask_itself(cdb__d1_stmt *s) {
  const bool asks = s->copy && s->answer.count == 0;
  if (asks) s->copy = false;
  return asks;
}

/* Could the columns come by their names, so that none is lost and each is in its place? JavaScript puts names
 * that are numbers first. */
static bool has_safe_names(const cdb__d1_stmt *s) {
  for (int i = 0; i < s->columns.count; i++) {
    const char *name = s->columns.list[i];
    if (name[strspn(name, "0123456789")] == '\0' || strcmp(name, "__proto__") == 0) return false;
    for (int k = 0; k < i; k++)
      if (strcmp(name, s->columns.list[k]) == 0) return false;
  }
  return s->columns.count > 0;
}

/* Came other columns than were known to be safe to ask for by their names? */
static bool has_lost_names(cdb__d1_stmt *s) {
  cdb__d1_names now;
  if (!s->named || s->answer.columns == 0 || s->columns.count == 0 ||
      !read_names(s, s->answer.columns, false, &now))
    return false;
  s->named = same_names(&now, &s->columns);
  cdb__d1_free_names(&now);
  return !s->named;
}

/* The rows came as they are: good, if they can be taken so. Else they are asked for again, encoded. */
static void take_plain(cdb__d1_stmt *s) {
  const bool without_names = s->answer.count == 0 && s->answer.columns == 0;
  if (is_to_ask_itself(s) || has_lost_names(s)) return;
  s->next = CDB__ASK_NOTHING;
  s->encoded = false;
  if (without_names && s->named) return; /* they are as they were */
  if (without_names && s->sql.reads && s->base.wanted == CDB__WANT_RESULT) s->next = CDB__ASK_NAMES;
  if (without_names || take_columns(s) != CDB_OK) return;
  if (!s->sql.reads) return;
  /* What gives more rows than the first one alone needs is asked for with a limit from now on. */
  if (s->base.wanted == CDB__WANT_FIRST && s->answer.count > 1) s->exact = true;
  if (s->answer.plain) return;
  s->exact = true;
  s->next = CDB__ASK_ENCODED;
}

static void take_encoded(cdb__d1_stmt *s) {
  const size_t expected = (size_t)s->columns.count + (s->paged ? 1 : 0);
  if (is_to_ask_itself(s)) return;
  s->next = CDB__ASK_NOTHING;
  s->encoded = true;
  if (s->answer.count > 0 && s->answer.columns != expected)
    cdb__d1_fail(s, CDB_UNAVAILABLE, "it answered with other columns than it was asked for");
}

static void take_names(cdb__d1_stmt *s) {
  if (s->batched && !s->wrapped && s->answer.columns == 0) { /* they were not told without a row */
    s->wrapped = true;
    return;
  }
  s->next = s->batched ? CDB__ASK_ENCODED : CDB__ASK_NOTHING;
  take_columns(s);
  s->answer.count = 0;
}

static void take_table(cdb__d1_stmt *s) {
  cdb__d1_free_names(&s->table);
  if (!read_names(s, s->answer.count, true, &s->table)) cdb__d1_fail_memory(s);
  else if (s->table.count == 0) cdb__d1_fail(s, CDB_SQL, "no such table: %s", s->sql.table);
  s->next = CDB__ASK_WRITE;
}

static void take_write(cdb__d1_stmt *s) {
  s->encoded = s->sql.returning != 0;
  if (s->answer.columns) take_columns(s);
  s->next = CDB__ASK_NOTHING;
  if (s->answer.repeated && (s->sql.returning || s->sql.kind == CDB__SQL_PRAGMA))
    cdb__d1_fail(s, CDB_OUTCOME_UNKNOWN, "the write was done, but its first answer, with the rows, was lost");
}

void cdb__d1_take_part(cdb__d1_stmt *s) {
  if (!s->answer.rows)
    cdb__d1_fail(s, CDB_OUTCOME_UNKNOWN,
                 "it answered in a way that is not understood; the batch may have been done");
  else if (s->answer.repeated && s->base.readonly)
    cdb__d1_fail(s, CDB_OUTCOME_UNKNOWN, "the batch was done, but its first answer, with the rows, was lost");
  else if (s->next == CDB__ASK_ENCODED) take_encoded(s);
  else if (s->next == CDB__ASK_WRITE) take_write(s);
  else take_plain(s);
  s->next = CDB__ASK_NOTHING;
}

/* Large rows come in smaller pages. */
static bool takes_smaller_page(cdb__d1_stmt *s, cdb__net_cause cause) {
  if (cause != CDB__NET_LARGE || !s->paged || s->page_rows == 1) return false;
  s->page_rows = (s->page_rows + 3) / 4;
  s->code = CDB_OK;
  return true;
}

/* A statement may fail when it is asked for otherwise than it was written: it is asked again, as it is, then.
 */
static bool may_ask_again(cdb__d1_stmt *s) {
  if (s->copy && (s->code == CDB_SQL || s->code == CDB_USAGE)) {
    s->copy = false; /* a copy may not have the table yet, or the bookmark is not known any more */
    s->code = CDB_OK;
    return true;
  }
  if (s->code != CDB_SQL) return false;
  if (s->limited && s->next == CDB__ASK_PLAIN && !strstr(s->fault.message, "no such table: ")) {
    s->limited = false; /* what is wrong is to be said of the statement as it was written */
    s->code = CDB_OK;
    return true;
  }
  if (s->next == CDB__ASK_ENCODED && s->first && !s->answer.root && s->exact) {
    s->exact = false;
    s->next = CDB__ASK_PLAIN;
  } else if (s->paged && s->first && s->next == CDB__ASK_PLAIN) {
    s->paged = false; /* no rows with ids: not a table, or one without */
  } else {
    return false;
  }
  s->code = CDB_OK;
  return true;
}

static void receive(cdb__d1_stmt *s, const cdb__net_answer *answer) {
  const bool write = is_write(s), learned = s->next == CDB__ASK_ENCODED && s->answer.root;
  cdb__d1_answer read;
  const bool good = answer->cause == CDB__NET_OK && answer->body &&
                    cdb__d1_answer_read(cdb__d1_jansson_of(s), answer->body, answer->size, &read);
  if (good) {
    cdb__d1_answer_free(cdb__d1_jansson_of(s), &s->answer);
    s->answer = read;
    cdb__d1_see_bookmark(cdb__d1_shard_of(s->base.shard), read.bookmark);
    switch (s->next) {
      case CDB__ASK_ENCODED: take_encoded(s); return;
      case CDB__ASK_NAMES: take_names(s); return;
      case CDB__ASK_TABLE: take_table(s); return;
      case CDB__ASK_WRITE: take_write(s); return;
      default: take_plain(s); return;
    }
  }
  cdb__d1_refuse(s, answer, write);
  if (takes_smaller_page(s, answer->cause) || may_ask_again(s)) return;
  if (s->code == CDB_SQL && learned)
    cdb__d1_fail(s, CDB_UNSUPPORTED,
                 "the columns of this statement can not be told apart: give each a name by AS");
  if (s->next == CDB__ASK_NAMES && s->code == CDB_SQL && !s->batched)
    s->code = CDB_OK; /* it has no rows, and no names either */
  s->next = CDB__ASK_NOTHING;
}

/* Bookmarks of later states are greater as texts. */
void cdb__d1_see_bookmark(cdb__d1_shard *shard, const char *bookmark) {
  if (!bookmark || strlen(bookmark) >= sizeof shard->bookmark || strcmp(bookmark, shard->bookmark) <= 0)
    return;
  strcpy(shard->bookmark, bookmark);
}

/* What is to be asked for first. */
void cdb__d1_plan(cdb__d1_stmt *s) {
  cdb__shard *shard = s->base.shard;
  s->copy = shard->routed && s->sql.reads && !s->batched;
  shard->routed = false;
  s->code = CDB_OK;
  cdb__d1_answer_free(cdb__d1_jansson_of(s), &s->answer);
  s->at = 0;
  s->limited = s->base.wanted == CDB__WANT_FIRST && cdb__d1_takes_limit(&s->sql);
  const bool changes =
      s->sql.kind == CDB__SQL_INSERT || s->sql.kind == CDB__SQL_UPDATE || s->sql.kind == CDB__SQL_DELETE;
  const bool known = s->columns.count > 0;
  if (s->batched && s->sql.reads) s->next = known ? CDB__ASK_ENCODED : CDB__ASK_NAMES;
  else if (s->sql.reads) s->next = s->exact && known ? CDB__ASK_ENCODED : CDB__ASK_PLAIN;
  else if (changes && s->sql.all) s->next = CDB__ASK_TABLE;
  else s->next = s->base.readonly ? CDB__ASK_PLAIN : CDB__ASK_WRITE;
  s->named = s->plain_name || has_safe_names(s);
  if (!s->base.readonly && cdb__d1_is_gateway(s)) cdb__d1_new_token(s->token);
}

/* One request for each statement that wants one. */
void cdb__d1_ask_all(cdb__d1_stmt **list, size_t count) {
  cdb__net_request requests[PARALLEL];
  cdb__net_answer answers[PARALLEL] = {0};
  cdb__d1_stmt *asking[PARALLEL];
  size_t n = 0;
  for (size_t i = 0; i < count; i++) {
    if (list[i]->code != CDB_OK || list[i]->next == CDB__ASK_NOTHING) continue;
    if (cdb__d1_build(list[i], &requests[n]) == CDB_OK) asking[n++] = list[i];
  }
  if (n == 0) return;
  const cdb__d1_options *to = &cdb__d1_shard_of(asking[0]->base.shard)->options;
  const cdb__net_options options = {PARALLEL, to->interrupted, to->context};
  cdb__fault fault;
  const int code = cdb__net_perform(to->net, requests, answers, n, &options, &fault);
  for (size_t i = 0; i < n; i++) {
    if (code != CDB_OK) cdb__d1_fail(asking[i], code, "%s", fault.message);
    else receive(asking[i], &answers[i]);
    cdb__net_answer_free(&answers[i]);
  }
}

static bool wants_more(cdb__d1_stmt *const *list, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (list[i]->code == CDB_OK && list[i]->next != CDB__ASK_NOTHING) return true;
  return false;
}

void cdb__d1_begin(cdb__d1_stmt *s) {
  const cdb__clock clock = cdb__clock_system();
  s->ends = cdb__clock_now(&clock) + cdb__d1_shard_of(s->base.shard)->options.deadline_ms;
}

/* Whoever interrupts one of the requests interrupts all that follow. */
void cdb__d1_watch(const cdb__d1_stmt *s) {
  const cdb__d1_options *to = &cdb__d1_shard_of(s->base.shard)->options;
  if (to->watch) to->watch(to->context);
}

static void fetch_all(cdb__d1_stmt **list, size_t count) {
  for (size_t i = 0; i < count; i++) cdb__d1_plan(list[i]);
  while (wants_more(list, count)) cdb__d1_ask_all(list, count);
  for (size_t i = 0; i < count; i++) list[i]->fetched = true;
}

void cdb__d1_fetch_many(cdb__stmt **stmts, size_t count) {
  cdb__d1_stmt *list[PARALLEL];
  if (count) cdb__d1_watch(cdb__d1_stmt_of(stmts[0]));
  for (size_t from = 0; from < count; from += PARALLEL) {
    const size_t n = count - from < PARALLEL ? count - from : PARALLEL;
    for (size_t i = 0; i < n; i++) {
      list[i] = cdb__d1_stmt_of(stmts[from + i]);
      list[i]->paged = list[i]->batched = false;
      list[i]->first = true;
      cdb__d1_begin(list[i]);
    }
    fetch_all(list, n);
  }
}

/* Rows without ids can not be asked for in pages. */
static bool lacks_ids(const cdb__d1_stmt *s) {
  const cdb__jansson *jansson = cdb__d1_jansson_of(s);
  return s->paged && s->first && s->answer.count &&
         json_is_null(jansson->array_get(jansson->array_get(s->answer.rows, 0), s->answer.columns - 1));
}

static void fetch(cdb__d1_stmt *s) {
  cdb__d1_watch(s);
  cdb__d1_begin(s);
  fetch_all(&s, 1);
  if (s->code != CDB_OK || !lacks_ids(s)) return;
  s->paged = false;
  fetch_all(&s, 1);
}

void cdb__d1_fetch_first(cdb__d1_stmt *s) {
  s->first = true;
  s->batched = false;
  s->page_rows = PAGE_ROWS;
  s->paged = s->base.wanted == CDB__WANT_PAGES && cdb__d1_has_pages(&s->sql);
  fetch(s);
}

void cdb__d1_fetch_next(cdb__d1_stmt *s) {
  s->first = false;
  fetch(s);
}
