/* What stands in a request to D1: the statement, rewritten for what is asked, its values as one JSON text,
 * and around both the form that Cloudflare's REST interface or the gateway takes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/key.h"
#include "net/d1.h"
#include "shard/d1_in.h"

/* D1's limit, looked at before anything is sent, and ours. */
enum { VALUES_LIMIT = 2000000 };
enum {
  ANSWER_LIMIT = 64 << 20,
  BODY_LIMIT = 8 << 20,
  CONNECT_MS = 10000,
  ATTEMPTS = 5,
  GATEWAY_ATTEMPTS = 12
};

/* --- the statement ------------------------------------------------------------------------------- */

static void write_statement(cdb__d1_stmt *s) {
  cdb__text *out = &s->statement;
  cdb__text_clear(out);
  if (s->paged && (s->next == CDB__ASK_PLAIN || s->next == CDB__ASK_ENCODED))
    cdb__d1_page(out, &s->sql, s->values, s->first, s->row_id, (int)s->page_rows);
  else if (s->next == CDB__ASK_WRITE && s->sql.returning)
    cdb__d1_returning(out, &s->sql, s->values, s->table.list, s->table.count, cdb__d1_is_gateway(s));
  else cdb__d1_plain(out, &s->sql, s->values);
  /* A statement that is not known yet is not wrapped: its columns could have other names then. */
  if (s->limited && s->next == CDB__ASK_PLAIN) cdb__text_puts(out, "\nLIMIT 1");
}

/* The columns of a page have the row id behind them. */
static void write_encoded(cdb__d1_stmt *s) {
  const int count = s->columns.count + (s->paged ? 1 : 0);
  char *columns[CDB__D1_COLUMN_LIMIT + 1];
  for (int i = 0; i < s->columns.count; i++) columns[i] = s->columns.list[i];
  columns[s->columns.count] = (char *)"_collegedb_row";
  cdb__d1_encoded(&s->sent, &s->statement, columns, count, s->base.wanted == CDB__WANT_FIRST ? 1 : 0);
}

static void write_sent(cdb__d1_stmt *s) {
  cdb__text_clear(&s->sent);
  switch (s->next) {
    case CDB__ASK_ENCODED: write_encoded(s); return;
    case CDB__ASK_NAMES:
      if (s->batched && !s->wrapped) { /* inside of another statement, two of one name get others */
        cdb__text_add(&s->sent, s->statement.data, s->statement.size);
        if (cdb__d1_takes_limit(&s->sql)) cdb__text_puts(&s->sent, "\nLIMIT 0");
        return;
      }
      cdb__text_printf(
          &s->sent,
          "WITH _collegedb_q AS (%s\n) SELECT _collegedb_q.* FROM (SELECT 1) LEFT JOIN _collegedb_q "
          "LIMIT 1",
          s->statement.data);
      return;
    case CDB__ASK_TABLE:
      cdb__text_puts(&s->sent, "SELECT name FROM pragma_table_xinfo('");
      for (const char *c = s->sql.table; *c; c++)
        cdb__text_add(&s->sent, *c == '\'' ? "''" : c, *c == '\'' ? 2 : 1);
      cdb__text_puts(&s->sent, "') WHERE hidden <> 1 ORDER BY cid");
      return;
    default: cdb__text_add(&s->sent, s->statement.data ? s->statement.data : "", s->statement.size);
  }
}

int cdb__d1_write_texts(cdb__d1_stmt *s) {
  write_statement(s);
  write_sent(s);
  cdb__text_clear(&s->values_json);
  cdb__d1_values(&s->values_json, s->values, s->base.parameters);
  if (s->sent.size > CDB__D1_SQL_LIMIT || s->values_json.size > VALUES_LIMIT)
    return cdb__d1_fail(
        s, CDB_TOO_LARGE,
        "D1 takes statements of %d bytes and values of %d bytes; as they are sent, these have %zu and %zu",
        CDB__D1_SQL_LIMIT, VALUES_LIMIT, s->sent.size, s->values_json.size);
  if (s->statement.failed || s->sent.failed || s->values_json.failed) return cdb__d1_fail_memory(s);
  return CDB_OK;
}

/* --- the form around it ------------------------------------------------------------------------------ */

void cdb__d1_new_token(char *token) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  const unsigned long long ms =
      (unsigned long long)now.tv_sec * 1000 + (unsigned long long)now.tv_nsec / 1000000;
  snprintf(token, CDB__D1_TOKEN, "%011llx-%016llx%016llx", ms & 0xfffffffffffULL,
           (unsigned long long)cdb__random_seed(), (unsigned long long)cdb__random_seed());
}

static void add_statement(cdb__text *body, const cdb__d1_stmt *s) {
  cdb__text_puts(body, "\"sql\":");
  cdb__text_json(body, s->sent.data, s->sent.size);
  if (s->base.parameters > 0 && s->next != CDB__ASK_TABLE) {
    cdb__text_puts(body, ",\"params\":[");
    cdb__text_json(body, s->values_json.data, s->values_json.size);
    cdb__text_puts(body, "]");
  }
}

static void add_write(cdb__text *body, const char *token) {
  if (*token) cdb__text_printf(body, ",\"write\":\"%s\"", token);
}

/* What only the gateway takes. */
static void add_gateway_fields(cdb__text *body, const cdb__d1_stmt *s) {
  const char *bookmark = cdb__d1_shard_of(s->base.shard)->bookmark;
  if (s->next == CDB__ASK_WRITE) add_write(body, s->token);
  else if (s->next == CDB__ASK_ENCODED || (s->next == CDB__ASK_PLAIN && s->named && !s->paged))
    cdb__text_puts(body, ",\"named\":true");
  if (!s->copy) return;
  cdb__text_puts(body, ",\"session\":");
  cdb__text_json(body, *bookmark ? bookmark : "first-unconstrained",
                 *bookmark ? strlen(bookmark) : strlen("first-unconstrained"));
}

static int finish(cdb__d1_stmt *s, const char *url, bool write, cdb__net_request *request) {
  static const char *const headers[] = {"Content-Type: application/json", NULL};
  const cdb__d1_options *to = &cdb__d1_shard_of(s->base.shard)->options;
  const bool gateway = to->batch_url != NULL;
  if (s->body.failed) return cdb__d1_fail_memory(s);
  if (s->body.size > BODY_LIMIT)
    return cdb__d1_fail(s, CDB_TOO_LARGE,
                        "a request has at most %d bytes, and this one %zu: use smaller parts", BODY_LIMIT,
                        s->body.size);
  const cdb__clock clock = cdb__clock_system();
  *request = (cdb__net_request){.method = "POST",
                                .url = url,
                                .headers = headers,
                                .token = to->token,
                                .ca_file = to->ca_file,
                                .body = s->body.data,
                                .body_size = s->body.size,
                                .write = write,
                                .repeatable = gateway,
                                .attempts = gateway ? GATEWAY_ATTEMPTS : ATTEMPTS,
                                .deadline_ms = s->ends - cdb__clock_now(&clock),
                                .connect_ms = CONNECT_MS,
                                .limit = ANSWER_LIMIT,
                                .budget = to->budget,
                                .judge = gateway ? cdb__gateway_judge : cdb__d1_judge};
  return CDB_OK;
}

int cdb__d1_build(cdb__d1_stmt *s, cdb__net_request *request) {
  if (cdb__d1_write_texts(s) != CDB_OK) return s->code;
  cdb__text_clear(&s->body);
  cdb__text_puts(&s->body, "{");
  add_statement(&s->body, s);
  if (cdb__d1_is_gateway(s)) add_gateway_fields(&s->body, s);
  cdb__text_puts(&s->body, "}");
  return finish(s, cdb__d1_shard_of(s->base.shard)->options.url, s->next == CDB__ASK_WRITE, request);
}

int cdb__d1_build_batch(cdb__d1_stmt **list, size_t count, cdb__net_request *request) {
  cdb__d1_stmt *first = list[0];
  bool write = false;
  cdb__text_clear(&first->body);
  cdb__text_puts(&first->body, "{\"statements\":[");
  for (size_t i = 0; i < count; i++) {
    const bool writes = list[i]->next == CDB__ASK_WRITE;
    cdb__text_puts(&first->body, i ? ",{" : "{");
    add_statement(&first->body, list[i]);
    cdb__text_puts(&first->body, writes ? "}" : ",\"reads\":true}");
    write = write || writes;
  }
  cdb__text_puts(&first->body, "]");
  if (write) add_write(&first->body, first->token);
  cdb__text_puts(&first->body, "}");
  return finish(first, cdb__d1_shard_of(first->base.shard)->options.batch_url, write, request);
}
