/* Batches through the gateway: bound statements as one request, all of them done or none. What a statement
 * needs to be asked for exactly, such as its columns, is asked before. */
#include <stdlib.h>
#include <string.h>

#include "shard/d1_in.h"

enum { SCRIPT_STATEMENTS = 200, SCRIPT_BYTES = 4 << 20 };

/* What went wrong is each statement's. */
static void fail_all(cdb__d1_stmt **list, size_t count, cdb__fault fault) {
  for (size_t i = 0; i < count; i++) {
    list[i]->code = fault.code;
    list[i]->fault = fault;
  }
}

static bool has_question(const cdb__d1_stmt *s) {
  return s->code == CDB_OK && (s->next == CDB__ASK_NAMES || s->next == CDB__ASK_TABLE);
}

/* The requests that come before, until there is no question left: for the columns of those that read, for the
 * tables of RETURNING *. What has no question is not to be sent by itself. */
static bool learn(cdb__d1_stmt **list, size_t count) {
  cdb__d1_stmt *asking[CDB__D1_PARALLEL];
  for (;;) {
    size_t n = 0;
    for (size_t i = 0; i < count && n < CDB__D1_PARALLEL; i++)
      if (has_question(list[i])) asking[n++] = list[i];
    if (n == 0) return true;
    cdb__d1_ask_all(asking, n);
    for (size_t i = 0; i < n; i++) {
      if (asking[i]->code == CDB_OK) continue;
      fail_all(list, count, asking[i]->fault);
      return false;
    }
  }
}

static bool has_known_columns(cdb__d1_stmt *const *list, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (list[i]->next == CDB__ASK_ENCODED) return true;
  return false;
}

/* Gives each statement its part of the answer. */
static void take(cdb__d1_stmt **list, size_t count, const cdb__net_answer *answer) {
  const cdb__jansson *jansson = cdb__d1_jansson_of(list[0]);
  cdb__d1_answers read;
  if (!cdb__d1_answers_read(jansson, answer->body, answer->size, count, &read)) {
    cdb__d1_refuse(list[0], answer, true);
    fail_all(list, count, list[0]->fault);
    return;
  }
  cdb__d1_see_bookmark(cdb__d1_shard_of(list[0]->base.shard), read.bookmark);
  for (size_t i = 0; i < count; i++) {
    cdb__d1_answer_free(jansson, &list[i]->answer);
    list[i]->answer = cdb__d1_answers_take(jansson, &read, i);
    list[i]->answer.repeated = read.repeated;
    cdb__d1_take_part(list[i]);
  }
  cdb__d1_answers_free(jansson, &read);
}

static cdb__net_cause send(cdb__d1_stmt **list, size_t count) {
  cdb__d1_shard *shard = cdb__d1_shard_of(list[0]->base.shard);
  const cdb__net_options options = {1, shard->options.interrupted, shard->options.context};
  cdb__net_request request;
  cdb__net_answer answer = {0};
  cdb__fault fault;
  for (size_t i = 0; i < count; i++) {
    if (cdb__d1_write_texts(list[i]) == CDB_OK) continue;
    fail_all(list, count, list[i]->fault);
    return CDB__NET_REQUEST;
  }
  cdb__d1_new_token(list[0]->token);
  if (cdb__d1_build_batch(list, count, &request) != CDB_OK) {
    fail_all(list, count, list[0]->fault);
    return CDB__NET_REQUEST;
  }
  if (cdb__net_perform(shard->options.net, &request, &answer, 1, &options, &fault) != CDB_OK) {
    fail_all(list, count, fault);
  } else if (answer.cause == CDB__NET_OK && answer.body) {
    take(list, count, &answer);
  } else {
    cdb__d1_refuse(list[0], &answer, request.write);
    fail_all(list, count, list[0]->fault);
  }
  cdb__net_answer_free(&answer);
  return answer.cause;
}

/* What was made of the names goes too: the look at them may fail. */
static void forget_columns(cdb__d1_stmt *s) {
  cdb__d1_free_names(&s->columns);
  s->base.columns = 0;
  s->base.prepared++;
}

static void plan(cdb__d1_stmt *s, bool anew) {
  s->batched = true;
  s->wrapped = false;
  if (anew) forget_columns(s);
  s->paged = s->copy = s->limited = false;
  s->first = true;
  cdb__d1_begin(s);
  cdb__d1_plan(s);
}

void cdb__d1_batch(cdb__stmt **stmts, size_t count) {
  cdb__d1_stmt **list = (cdb__d1_stmt **)(void *)stmts; /* its first field is the statement */
  if (count == 0) return;
  cdb__d1_watch(list[0]);
  for (int attempt = 0; attempt < 2; attempt++) {
    for (size_t i = 0; i < count; i++) plan(list[i], attempt > 0);
    const bool known = has_known_columns(list, count);
    if (!learn(list, count)) break;
    /* Nothing of it was done: what was known of the columns may have changed. */
    if (send(list, count) != CDB__NET_SQL_ERROR || list[0]->code != CDB_SQL || !known) break;
  }
  for (size_t i = 0; i < count; i++) list[i]->fetched = true;
}

/* --- scripts ---------------------------------------------------------------------------------------- */

typedef struct {
  cdb__stmt *list[SCRIPT_STATEMENTS];
  size_t count, bytes;
} script_part;

/* Its rows are not asked for, whatever it is. */
static void make_plain(cdb__d1_stmt *s) {
  s->sql.kind = CDB__SQL_OTHER;
  s->sql.returning = 0;
  s->sql.reads = s->sql.all = s->base.readonly = false;
}

static int run_part(script_part *part, cdb__fault *fault) {
  int code = CDB_OK;
  cdb__d1_batch(part->list, part->count);
  for (size_t i = 0; i < part->count; i++) {
    cdb__d1_stmt *s = cdb__d1_stmt_of(part->list[i]);
    if (code == CDB_OK && s->code != CDB_OK) *fault = s->fault;
    if (code == CDB_OK) code = s->code;
    part->list[i]->shard->ops->finalize(part->list[i]);
  }
  part->count = part->bytes = 0;
  return code;
}

/* Adds the statement to the part; runs the part first where it is full. */
static int add_to_part(script_part *part, cdb__shard *shard, const char *sql, size_t size,
                       cdb__fault *fault) {
  int code = CDB_OK;
  if (part->count == SCRIPT_STATEMENTS || (part->count && part->bytes + size > SCRIPT_BYTES))
    code = run_part(part, fault);
  if (code == CDB_OK) code = shard->ops->prepare(shard, sql, size, &part->list[part->count], fault);
  if (code != CDB_OK) return code;
  cdb__stmt *stmt = part->list[part->count++];
  part->bytes += size;
  make_plain(cdb__d1_stmt_of(stmt));
  return stmt->parameters ? cdb__fail(fault, CDB_USAGE, "a script takes no parameters") : CDB_OK;
}

int cdb__d1_exec(cdb__shard *shard, const char *script, cdb__fault *fault) {
  script_part part = {.count = 0};
  cdb__sql_info info;
  int code = CDB_OK;
  for (size_t left = strlen(script), size; left && code == CDB_OK; left -= size, script += size) {
    cdb__sql_scan(script, left, &info);
    size = info.end ? info.end : left;
    if (info.kind == CDB__SQL_TRANSACTION)
      code = cdb__fail(fault, CDB_UNSUPPORTED, "D1 has no transactions over several statements");
    else if (info.kind != CDB__SQL_EMPTY) code = add_to_part(&part, shard, script, size, fault);
  }
  if (code == CDB_OK && part.count) return run_part(&part, fault);
  for (size_t i = 0; i < part.count; i++) shard->ops->finalize(part.list[i]);
  return code;
}
