/* What d1.c, the shard and its statements, and d1_fetch.c, which asks for their answers, share. */
#ifndef CDB_SHARD_D1_IN_H
#define CDB_SHARD_D1_IN_H

#include "net/jansson.h"
#include "shard/d1.h"
#include "shard/d1_answer.h"
#include "shard/d1_sql.h"

/* Bytes of a statement (developers.cloudflare.com/d1/platform/limits). */
enum { CDB__D1_SQL_LIMIT = 100000 };
enum { CDB__D1_COLUMN_LIMIT = 100, CDB__D1_BOOKMARK = 256, CDB__D1_TOKEN = 48, CDB__D1_PARALLEL = 16 };

typedef struct {
  cdb__shard base;
  cdb__d1_options options; /* its texts are owned */
  cdb__jansson jansson;
  char bookmark[CDB__D1_BOOKMARK]; /* of the newest state that was seen through the gateway; "" is none */
} cdb__d1_shard;

/* What the next request of a statement asks for. */
typedef enum {
  CDB__ASK_NOTHING,
  CDB__ASK_PLAIN,   /* the statement as it is; of one that reads, to learn its columns */
  CDB__ASK_ENCODED, /* the rows of one whose columns are known */
  CDB__ASK_NAMES,   /* the columns of one that gave no row */
  CDB__ASK_TABLE,   /* the columns of the table of RETURNING * */
  CDB__ASK_WRITE    /* a statement that changes rows */
} cdb__d1_ask;

typedef struct {
  char **list;
  int count;
} cdb__d1_names;

typedef struct {
  cdb__stmt base;
  cdb__d1_sql sql;
  cdb_value *values;     /* that are bound */
  cdb__d1_names columns; /* that it had last */
  cdb__d1_names table;   /* of RETURNING * */
  bool exact;            /* its values have to be asked for encoded */
  bool fetched;
  cdb__d1_ask next;
  int64_t ends; /* the deadline of all its requests */
  int code;     /* of fetching */
  cdb__fault fault;
  cdb__d1_answer answer;
  char token[CDB__D1_TOKEN]; /* of a write through the gateway */
  bool batched;              /* it is part of a batch: it is not asked for by itself */
  bool wrapped;              /* its columns are asked for by a statement around it */
  bool copy;                 /* it may be answered by a copy of the database */
  bool named;                /* its columns come by their names, which differ */
  bool plain_name;           /* its only column has a name of ours */
  bool limited;              /* it was asked for its first row alone, by a LIMIT that is not its own */
  bool encoded;              /* the answer is */
  size_t at;                 /* rows that were given */
  bool paged;                /* the rows come in pages */
  size_t page_rows;          /* of so many */
  bool first;                /* the page is the first */
  int64_t row_id;            /* the last of the pages before */
  cdb_value *row;
  char *room; /* for values of the row */
  cdb__text statement, values_json, sent, body;
} cdb__d1_stmt;

static inline cdb__d1_shard *cdb__d1_shard_of(cdb__shard *shard) { return (cdb__d1_shard *)shard; }
static inline cdb__d1_stmt *cdb__d1_stmt_of(cdb__stmt *stmt) { return (cdb__d1_stmt *)stmt; }
static inline const cdb__jansson *cdb__d1_jansson_of(const cdb__d1_stmt *s) {
  return &cdb__d1_shard_of(s->base.shard)->jansson;
}

/* Is it asked through the gateway, not over REST? */
static inline bool cdb__d1_is_gateway(const cdb__d1_stmt *s) {
  return cdb__d1_shard_of(s->base.shard)->options.batch_url != NULL;
}

/* d1_request.c: the texts of what is asked next, and the request. They return the code, as cdb__d1_fail does.
 */
int cdb__d1_write_texts(cdb__d1_stmt *s);
int cdb__d1_build(cdb__d1_stmt *s, cdb__net_request *request);
/* One request for statements whose texts were written; its body is the first one's. */
int cdb__d1_build_batch(cdb__d1_stmt **list, size_t count, cdb__net_request *request);
/* A new name for a write, which the gateway does once. */
void cdb__d1_new_token(char *token);

/* d1_fetch.c, in this order: the deadline begins; what is to be asked first; one request for each statement
 * that has one to ask, which may lead to the next; what went wrong, of an answer that is none; the
 * statement's part of the answer to a batch. */
void cdb__d1_watch(const cdb__d1_stmt *s);
void cdb__d1_begin(cdb__d1_stmt *s);
void cdb__d1_plan(cdb__d1_stmt *s);
void cdb__d1_ask_all(cdb__d1_stmt **list, size_t count);
void cdb__d1_refuse(cdb__d1_stmt *s, const cdb__net_answer *answer, bool write);
void cdb__d1_take_part(cdb__d1_stmt *s);
/* The state of the database that was seen; a later one replaces it. */
void cdb__d1_see_bookmark(cdb__d1_shard *shard, const char *bookmark);

/* d1_batch.c */
void cdb__d1_batch(cdb__stmt **stmts, size_t count);
/* A script as batches, each at most as large as a request may be. */
int cdb__d1_exec(cdb__shard *shard, const char *script, cdb__fault *fault);

/* The answer of a bound statement, or the first page of its rows; what went wrong is in `code` and `fault`.
 */
void cdb__d1_fetch_first(cdb__d1_stmt *s);
void cdb__d1_fetch_next(cdb__d1_stmt *s);
/* Answers of statements of several shards, a bounded number at once. */
void cdb__d1_fetch_many(cdb__stmt **stmts, size_t count);

/* Sets `code` and `fault`, and returns the code. */
__attribute__((format(printf, 3, 4))) int cdb__d1_fail(cdb__d1_stmt *s, int code, const char *format, ...);
int cdb__d1_fail_memory(cdb__d1_stmt *s);
void cdb__d1_free_names(cdb__d1_names *names);

#endif
