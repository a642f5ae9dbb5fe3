#include "directory/takeover.h"

#include <stdlib.h>
#include <string.h>

#include "directory/takeover_in.h"

enum {
  PAGE = 1 << 19,         /* keys in memory at once: 12 MiB of entries … */
  TEXT_MAX = 24 << 20,    /* … and at most this much text, whichever is full first */
  COMMIT_EVERY = 1 << 15, /* entries a transaction, so that others may write in between */
  SMALLEST_PAGE = 64,
  SLOWLY = 16 /* batches: larger pages are asked for where each one reads the whole table */
};

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

cdb__takeover *cdb__takeover_new(const cdb__takeover_plan *plan) {
  cdb__takeover *t = calloc(1, sizeof *t);
  if (!t) return NULL;
  t->plan = *plan;
  if (t->plan.page == 0 || t->plan.page > PAGE) t->plan.page = PAGE;
  if (t->plan.batch == 0) t->plan.batch = COMMIT_EVERY;
  /* Whoever may be stopped at any time begins with small pages: what it has read of one is lost then. */
  const bool slowly = t->plan.stop && t->plan.page <= SLOWLY * t->plan.batch;
  t->page = slowly ? smaller(t->plan.page, t->plan.batch) : t->plan.page;
  t->epoch = -1;
  t->at.last.value.type = t->at.stop.value.type = t->page_last.value.type = CDB_NULL;
  t->items = malloc(t->plan.page * sizeof *t->items);
  t->text_capacity = 1 << 16;
  t->text = malloc(t->text_capacity);
  if (t->items && t->text) return t;
  cdb__takeover_free(t);
  return NULL;
}

void cdb__takeover_free(cdb__takeover *t) {
  if (!t) return;
  free(t->items);
  free(t->text);
  free(t->at.last.bytes);
  free(t->at.stop.bytes);
  free(t->page_last.bytes);
  free(t->clashes);
  free(t);
}

const cdb__takeover_counts *cdb__takeover_get_counts(const cdb__takeover *t) { return &t->counts; }

int64_t cdb__takeover_noted(const cdb__takeover *t) { return t->noted; }

size_t cdb__takeover_conflicts(const cdb__takeover *t) { return t->clash_count; }

int64_t cdb__takeover_conflict(const cdb__takeover *t, size_t index, const char **key, size_t *size) {
  const cdb__takeover_item *it = &t->items[t->clashes[index].item];
  *key = t->text + it->offset;
  *size = it->size;
  return t->clashes[index].other;
}

int cdb__own_value(cdb__owned_value *to, const cdb_value *value, cdb__fault *fault) {
  if (value->type == CDB__LOST) return cdb__fail(fault, CDB_NOMEM, "no memory for a key");
  const bool has_bytes = value->type == CDB_TEXT || value->type == CDB_BLOB;
  if (has_bytes && value->size >= to->capacity) {
    char *grown = realloc(to->bytes, value->size + 64);
    if (!grown) return cdb__fail(fault, CDB_NOMEM, "no memory for a key of %zu bytes", value->size);
    to->bytes = grown;
    to->capacity = value->size + 64;
  }
  if (has_bytes && value->data != to->bytes) memcpy(to->bytes, value->data, value->size);
  to->value = *value;
  if (has_bytes) to->value.data = to->bytes;
  return CDB_OK;
}

/* --- one key ------------------------------------------------------------------ */

static int add_text(cdb__takeover *t, const char *text, size_t size, cdb__takeover_item *out,
                    cdb__fault *fault) {
  if (t->text_size + size > t->text_capacity) {
    char *grown = realloc(t->text, t->text_capacity * 2);
    if (!grown) return cdb__fail(fault, CDB_NOMEM, "no memory for a page of keys");
    t->text = grown;
    t->text_capacity *= 2;
  }
  memcpy(t->text + t->text_size, text, size);
  out->offset = (uint32_t)t->text_size;
  out->size = (uint16_t)size;
  t->text_size += size;
  return CDB_OK;
}

/* The key as the router would see it: canonical text in the table's keyspace. */
static bool to_key(const cdb__takeover *t, const cdb_value *value, cdb__key *key, char folded[CDB__KEY_MAX]) {
  if (value->type == CDB_INTEGER) {
    cdb__key_integer(key, &t->plan.space, value->i);
    return true;
  }
  if (t->plan.integer || (value->type != CDB_TEXT && value->type != CDB_BLOB)) return false;
  if (value->size == 0 || value->size > CDB__KEY_MAX) return false;
  cdb__key_text(key, &t->plan.space, value->data, value->size);
  if (t->plan.fold) cdb__key_fold(key, folded);
  return true;
}

static int add(cdb__takeover *t, const cdb_value *value, int64_t rows, cdb__fault *fault) {
  cdb__key key;
  char folded[CDB__KEY_MAX];
  t->records += rows;
  if (!to_key(t, value, &key, folded)) {
    t->unusable += rows;
    return CDB_OK;
  }
  cdb__takeover_item *to = &t->items[t->count];
  cdb__key_digest(&key, t->plan.secret, t->plan.secret_size, to->digest);
  if (t->bounded && memcmp(to->digest, t->at.mark, CDB__DIGEST_SIZE) <= 0) return CDB_OK; /* written before */
  to->at_home = to->elsewhere = false;
  if (t->plan.home_count) {
    to->other = (int32_t)cdb__place(cdb__key_place_hash(&key), t->plan.nodes, t->plan.home_count);
    to->at_home = t->plan.homes[to->other].shard_id == t->plan.shard_id;
  }
  const int code = add_text(t, key.text, key.size, to, fault);
  if (code == CDB_OK) t->count++;
  return code;
}

/* --- reading a page ----------------------------------------------------------- */

static int bind_page(cdb__takeover *t, cdb__stmt *stmt, size_t limit, cdb__fault *fault) {
  const cdb_value most = {.type = CDB_INTEGER, .i = (int64_t)limit};
  const cdb__shard_ops *ops = stmt->shard->ops;
  int code = ops->bind(stmt, 1, &most, fault);
  if (code == CDB_OK && t->at.last.value.type != CDB_NULL)
    code = ops->bind(stmt, 2, &t->at.last.value, fault);
  if (code == CDB_OK && t->bounded) code = ops->bind(stmt, 3, &t->at.stop.value, fault);
  return code;
}

static int read_rows(cdb__takeover *t, cdb__stmt *stmt, size_t limit, cdb__fault *fault) {
  const cdb__shard_ops *ops = stmt->shard->ops;
  size_t rows = 0;
  cdb_value value, repeats = {.i = 1};
  int code = bind_page(t, stmt, limit, fault);
  while (code == CDB_OK && t->text_size < TEXT_MAX) {
    code = cdb__step(stmt, fault);
    if (code != CDB__ROW) break;
    if (stmt->columns > 1) ops->value(stmt, 1, &repeats);
    ops->value(stmt, 0, &value);
    rows++;
    code = cdb__own_value(&t->page_last, &value, fault);
    if (code == CDB_OK) code = add(t, &value, repeats.i, fault);
    if (code == CDB_OK && cdb__takeover_stopped(t)) code = cdb__takeover_fail_stopped(fault);
  }
  t->page_ended = code == CDB__DONE && rows < limit && t->text_size < TEXT_MAX;
  return code < 0 ? code : CDB_OK;
}

static int by_digest(const void *a, const void *b) {
  return memcmp(((const cdb__takeover_item *)a)->digest, ((const cdb__takeover_item *)b)->digest,
                CDB__DIGEST_SIZE);
}

/* Where a page was written in part, the keys of that page come in pages of one batch each. */
static int read_page(cdb__takeover *t, cdb__fault *fault) {
  t->bounded = t->at.stop.value.type != CDB_NULL;
  t->count = t->next = t->text_size = t->clash_count = 0;
  t->records = t->unusable = 0;
  const size_t limit = t->bounded ? smaller(t->page, t->plan.batch) : t->page;
  const char *sql = t->plan.pages[(t->bounded ? 2 : 0) + (t->at.last.value.type != CDB_NULL ? 1 : 0)];
  const size_t size = strlen(sql);
  cdb__stmt *stmt;
  int code = cdb__stmt_take(t->plan.source, sql, size, cdb__sql_hash(sql, size), &stmt, fault);
  if (code != CDB_OK) return code;
  code = read_rows(t, stmt, limit, fault);
  cdb__fault ignored;
  cdb__reset(stmt, &ignored);
  cdb__stmt_give(stmt);
  if (t->bounded) t->records = t->unusable = 0; /* they were counted with the page's first batch */
  return code;
}

static int load_page(cdb__takeover *t, cdb__fault *fault) {
  int code = CDB_OK;
  if (!t->placed && t->plan.job) code = cdb__takeover_find_place(t, fault);
  if (code == CDB_OK) t->placed = true;
  if (code == CDB_OK && t->epoch < 0) code = cdb__takeover_look(t, fault);
  if (code != CDB_OK || t->at.ended) return code;
  if (cdb__takeover_stopped(t)) return cdb__takeover_fail_stopped(fault);
  code = read_page(t, fault);
  if (code == CDB_OK) code = cdb__takeover_look_around(t, fault);
  qsort(t->items, t->count, sizeof *t->items, by_digest);
  t->loaded = code == CDB_OK;
  return code;
}

int cdb__takeover_step(cdb__takeover *t, cdb__fault *fault) {
  int code = CDB_OK;
  t->clash_count = 0;
  if (!t->loaded && !t->at.ended) code = load_page(t, fault);
  if (code != CDB_OK) return code;
  if (t->at.ended) return CDB__TAKEOVER_IDLE;
  code = cdb__takeover_write(t, fault);
  if (code == CDB__TAKEOVER_STALLED) {
    t->loaded = false;
    t->epoch = -1;
    if (t->page > SMALLEST_PAGE) t->page /= 2;
    return code;
  }
  if (code != CDB_OK) return code;
  if (!t->loaded) t->page = smaller(t->page * 2, t->plan.page);
  return t->at.ended ? CDB__TAKEOVER_DONE : CDB__TAKEOVER_MORE;
}
