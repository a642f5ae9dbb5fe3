#include "directory/takeover.h"

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "directory/takeover_in.h"

enum {
  PAGE = 1 << 19,         /* keys in memory at once: 12 MiB of entries … */
  TEXT_MAX = 24 << 20,    /* … and at most this much text, whichever is full first */
  COMMIT_EVERY = 1 << 15, /* entries a transaction, so that others may write in between */
  SMALLEST_PAGE = 64,
  SLOWLY = 16,    /* batches: larger pages are asked for where each one reads the whole table */
  HOLD = 20000000 /* ns for which another file may be read on end */
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

static bool is_stopped(const cdb__takeover *t) {
  return t->plan.stop && atomic_load_explicit(t->plan.stop, memory_order_relaxed);
}

static int stopped(cdb__fault *fault) { return cdb__fail(fault, CDB_CLOSED, "integration was stopped"); }

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
    code = add(t, &value, repeats.i, fault);
    if (code == CDB_OK) code = cdb__own_value(&t->page_last, &value, fault);
    if (code == CDB_OK && is_stopped(t)) code = stopped(fault);
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

/* --- looking whether the keys are elsewhere too --------------------------------- */

/* Has the place a row of the key? */
static int probe(const cdb__takeover *t, const cdb__takeover_place *place, cdb__takeover_item *it,
                 cdb__stmt *stmt, cdb__fault *fault) {
  const cdb_value key = {.type = CDB_TEXT, .data = t->text + it->offset, .size = it->size};
  int code = place->shard->ops->bind(stmt, 1, &key, fault);
  if (code == CDB_OK) code = cdb__step(stmt, fault);
  cdb__fault ignored;
  cdb__reset(stmt, &ignored);
  if (code < 0) return code;
  it->elsewhere = code == CDB__ROW;
  if (it->elsewhere) it->other = (int32_t)place->shard_id;
  return CDB_OK;
}

/* Goes on at item `*from`, until all are looked up or the file was held for long enough. */
static int probe_some(cdb__takeover *t, const cdb__takeover_place *place, int node, size_t *from,
                      cdb__fault *fault) {
  const size_t size = strlen(place->probe);
  cdb__stmt *stmt;
  int code =
      cdb__stmt_take(place->shard, place->probe, size, cdb__sql_hash(place->probe, size), &stmt, fault);
  if (code != CDB_OK) return code;
  const int64_t end = cdb__clock_ticks() + HOLD;
  for (; *from < t->count && code == CDB_OK; ++*from) {
    cdb__takeover_item *it = &t->items[*from];
    if (it->elsewhere || (node >= 0 && it->other != node)) continue;
    if (cdb__clock_ticks() > end) break;
    code = is_stopped(t) ? stopped(fault) : probe(t, place, it, stmt, fault);
  }
  cdb__stmt_give(stmt);
  return code;
}

/* Asks one place for the keys at home on node `node`, or for all with -1. In few
 * transactions: a lock for each key would cost more than the lookup. But not in one:
 * where each look reads the whole table, nobody could write it for minutes. One place
 * after another: who held one file while waiting for the next could wait for ever.
 * Where the user has a transaction open, that one serves. */
static int ask(cdb__takeover *t, const cdb__takeover_place *place, int node, cdb__fault *fault) {
  if (!place->asked) return CDB_OK;
  cdb__shard *shard = place->shard;
  cdb__fault ignored;
  int code = CDB_OK;
  for (size_t next = 0; next < t->count && code == CDB_OK;) {
    const bool begun = !shard->ops->in_transaction(shard) && cdb__exec(shard, "BEGIN", &ignored) == CDB_OK;
    code = probe_some(t, place, node, &next, fault);
    if (begun && cdb__exec(shard, "COMMIT", &ignored) != CDB_OK) cdb__exec(shard, "ROLLBACK", &ignored);
  }
  return code;
}

static int look_around(cdb__takeover *t, cdb__fault *fault) {
  int code = CDB_OK;
  for (size_t i = 0; i < t->plan.home_count && code == CDB_OK; i++)
    if (t->plan.homes[i].shard_id != t->plan.shard_id) code = ask(t, &t->plan.homes[i], (int)i, fault);
  for (size_t i = 0; i < t->plan.other_count && code == CDB_OK; i++)
    code = ask(t, &t->plan.others[i], -1, fault);
  return code;
}

static int load_page(cdb__takeover *t, cdb__fault *fault) {
  int code = CDB_OK;
  if (!t->placed && t->plan.job) code = cdb__takeover_find_place(t, fault);
  if (code == CDB_OK) t->placed = true;
  if (code == CDB_OK && t->epoch < 0) code = cdb__takeover_look(t, fault);
  if (code != CDB_OK || t->at.ended) return code;
  if (is_stopped(t)) return stopped(fault);
  code = read_page(t, fault);
  if (code == CDB_OK) code = look_around(t, fault);
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
