/* The D1 shard and its statements, for shard.h. */
#include "shard/d1.h"

#include <stdlib.h>
#include <string.h>

#include "shard/d1_in.h"

/* --- statements ----------------------------------------------------------------------------------------- */

static bool is_among(const cdb__d1_sql *sql, size_t token, const char *const *words) {
  while (*words && !cdb__d1_is_word(sql, token, *words)) words++;
  return *words != NULL;
}

/* Does the PRAGMA only tell something? The gateway takes any other one for a write. */
static bool only_tells(const cdb__d1_sql *sql) {
  static const char *const lists[] = {"table_info",       "table_xinfo",       "table_list",
                                      "index_info",       "index_xinfo",       "index_list",
                                      "foreign_key_list", "foreign_key_check", NULL};
  static const char *const settings[] = {"foreign_keys",       "defer_foreign_keys",
                                         "recursive_triggers", "ignore_check_constraints",
                                         "legacy_alter_table", NULL};
  const size_t name = cdb__d1_is_sign(sql, 2, '.') ? 3 : 1;
  if (is_among(sql, name, settings)) return name + 1 == sql->count;
  return is_among(sql, name, lists) && !cdb__d1_is_sign(sql, name + 1, '=');
}

static int stmt_prepare(cdb__shard *base, const char *sql, size_t size, cdb__stmt **out, cdb__fault *fault) {
  cdb__d1_stmt *s = calloc(1, sizeof *s);
  if (!s) return cdb__fail(fault, CDB_NOMEM, "no memory for a statement");
  int code = cdb__stmt_init(&s->base, base, sql, size, fault);
  /* For SQLite a statement ends at a NUL. */
  if (code == CDB_OK) code = cdb__d1_sql_read(&s->sql, s->base.sql, strlen(s->base.sql), fault);
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
  s->base.readonly = s->sql.reads || s->sql.kind == CDB__SQL_EXPLAIN ||
                     (s->sql.kind == CDB__SQL_PRAGMA && (!cdb__d1_is_gateway(s) || only_tells(&s->sql)));
  *out = &s->base;
  return CDB_OK;
}

static int stmt_bind(cdb__stmt *base, int index, const cdb_value *value, cdb__fault *fault) {
  if (index < 1 || index > base->parameters) return cdb__fail(fault, CDB_USAGE, "no parameter %d", index);
  cdb__d1_stmt_of(base)->values[index - 1] = *value;
  return CDB_OK;
}

/* Decodes the next row. */
static int read_row(cdb__d1_stmt *s) {
  const cdb__jansson *jansson = cdb__d1_jansson_of(s);
  char *room = realloc(s->room, cdb__d1_answer_room(jansson, &s->answer, s->at));
  if (!room) return cdb__d1_fail_memory(s);
  s->room = room;
  const int columns = s->columns.count + (s->paged ? 1 : 0);
  for (int i = 0; i < columns; i++) {
    if (cdb__d1_answer_value(jansson, &s->answer, s->at, (size_t)i, s->encoded, &room, &s->row[i])) continue;
    return s->base.readonly
               ? cdb__d1_fail(s, CDB_UNSUPPORTED, "a value of the answer can not be told exactly")
               : cdb__d1_fail(s, CDB_OUTCOME_UNKNOWN,
                              "the write was done, but a value of the answer can not be told exactly");
  }
  s->at++;
  if (!s->paged) return CDB_OK;
  const cdb_value *id = &s->row[s->columns.count];
  if (id->type == CDB_INTEGER) s->row_id = id->i;
  else if (id->type != CDB_NULL || !s->first)
    return cdb__d1_fail(s, CDB_UNSUPPORTED, "a row has no id to go on from");
  return CDB_OK;
}

static int stmt_step(cdb__stmt *base, cdb__fault *fault) {
  cdb__d1_stmt *s = cdb__d1_stmt_of(base);
  if (!s->fetched) cdb__d1_fetch_first(s);
  while (s->code == CDB_OK && s->at == s->answer.count && s->paged && s->answer.count == s->page_rows)
    cdb__d1_fetch_next(s);
  if (s->code == CDB_OK && s->at < s->answer.count && read_row(s) == CDB_OK) return CDB__ROW;
  if (s->code == CDB_OK) return CDB__DONE;
  *fault = s->fault;
  return s->code;
}

static int stmt_reset(cdb__stmt *base, cdb__fault *fault) {
  cdb__d1_stmt *s = cdb__d1_stmt_of(base);
  (void)fault;
  cdb__d1_answer_free(cdb__d1_jansson_of(s), &s->answer);
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
  return cdb__d1_stmt_of(stmt)->columns.list[column];
}

static void stmt_value(cdb__stmt *stmt, int column, cdb_value *out) {
  *out = cdb__d1_stmt_of(stmt)->row[column];
}

static const char *stmt_parameter_name(cdb__stmt *stmt, int index) {
  return cdb__d1_stmt_of(stmt)->sql.names[index - 1];
}

static int64_t stmt_changes(cdb__stmt *stmt) {
  const int64_t changes = cdb__d1_stmt_of(stmt)->answer.changes;
  return stmt->readonly || changes == CDB__D1_UNKNOWN ? 0 : changes;
}

static int64_t stmt_last_row_id(cdb__stmt *stmt) { return cdb__d1_stmt_of(stmt)->answer.last_row_id; }

static void stmt_cost(cdb__stmt *stmt, int64_t *rows_read, int64_t *rows_written) {
  *rows_read = cdb__d1_stmt_of(stmt)->answer.rows_read;
  *rows_written = cdb__d1_stmt_of(stmt)->answer.rows_written;
}

static void stmt_finalize(cdb__stmt *base) {
  cdb__d1_stmt *s = cdb__d1_stmt_of(base);
  cdb__fault ignored;
  stmt_reset(base, &ignored);
  cdb__text_free(&s->statement);
  cdb__text_free(&s->sent);
  cdb__d1_free_names(&s->columns);
  cdb__d1_free_names(&s->table);
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
  cdb__d1_stmt *s = cdb__d1_stmt_of(stmt);
  if (!reads) { /* whatever the first of them is */
    s->sql.kind = CDB__SQL_OTHER;
    s->sql.returning = 0;
    s->sql.reads = stmt->readonly = false;
  }
  s->plain_name = reads;
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
    if (*any && at + length > CDB__D1_SQL_LIMIT) break;
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
  if (cdb__d1_shard_of(base)->options.batch_url) return cdb__d1_exec(base, script, fault);
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
  cdb__d1_shard *shard = cdb__d1_shard_of(base);
  cdb__shard_forget_statements(base);
  cdb__net_leave(shard->options.net);
  free((char *)shard->options.name);
  free((char *)shard->options.url);
  free((char *)shard->options.batch_url);
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
    .fetch = cdb__d1_fetch_many,
    .batch = cdb__d1_batch,
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
  cdb__d1_shard *shard = calloc(1, sizeof *shard);
  if (!shard) return cdb__fail(fault, CDB_NOMEM, "no memory for a shard");
  cdb__shard_init(&shard->base, &d1_ops);
  shard->base.single = true;
  shard->base.batches = options->batch_url != NULL;
  shard->base.replicas = options->replicas;
  shard->options = *options;
  cdb__net_enter(options->net);
  cdb__d1_options *o = &shard->options;
  const bool name = copy_text(&o->name), url = copy_text(&o->url), token = copy_text(&o->token),
             ca_file = copy_text(&o->ca_file), batch_url = copy_text(&o->batch_url);
  int code = name && url && token && ca_file && batch_url
                 ? CDB_OK
                 : cdb__fail(fault, CDB_NOMEM, "no memory for a shard");
  if (code == CDB_OK) code = cdb__jansson_load(&shard->jansson, fault);
  if (code == CDB_OK) *out = &shard->base;
  else shard_close(&shard->base);
  return code;
}
