/* Looks whether the keys of a page are on other shards too. A file is asked key
 * by key; shards that are far away many keys at a time, all of them at once. */
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/text.h"
#include "directory/takeover_in.h"

enum {
  HOLD = 20000000,    /* ns for which another file may be read on end */
  ASK_BYTES = 400000, /* of the texts that one request asks for */
  ASK_KEYS = 20000
};

bool cdb__takeover_stopped(const cdb__takeover *t) {
  return t->plan.stop && atomic_load_explicit(t->plan.stop, memory_order_relaxed);
}

int cdb__takeover_fail_stopped(cdb__fault *fault) {
  return cdb__fail(fault, CDB_CLOSED, "integration was stopped");
}

/* --- files --------------------------------------------------------------------- */

/* SQLite ends a text of JSON at a NUL: such a key is asked for by itself. */
static bool has_nul(const cdb__takeover *t, const cdb__takeover_item *it) {
  return memchr(t->text + it->offset, '\0', it->size) != NULL;
}

static bool is_wanted(const cdb__takeover_item *it, int node) {
  return !it->elsewhere && (node < 0 || it->other == node);
}

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
    if (!is_wanted(it, node)) continue;
    if (cdb__clock_ticks() > end) break;
    code = cdb__takeover_stopped(t) ? cdb__takeover_fail_stopped(fault) : probe(t, place, it, stmt, fault);
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
    const bool begun = !shard->ops->in_transaction(shard) && cdb__begin(shard, "BEGIN", &ignored) == CDB_OK;
    code = probe_some(t, place, node, &next, fault);
    if (begun && cdb__exec(shard, "COMMIT", &ignored) != CDB_OK) cdb__undo(shard, NULL);
  }
  return code;
}

/* --- shards that are far away ---------------------------------------------------- */

/* A place, and its part of one round of requests. */
typedef struct {
  const cdb__takeover_place *place;
  int node;        /* only keys that are at home there; -1 is all */
  size_t next;     /* the first item that is not asked for yet */
  uint32_t *items; /* those of the round, in the order of the keys */
  size_t count;
  cdb__text keys; /* as a JSON array */
  cdb__stmt *stmt;
} far_place;

static bool is_far(const cdb__takeover_place *place) {
  return place->asked && place->shard && place->shard->ops->fetch && place->probe_many;
}

/* Takes up the next keys. */
static bool fill_round(const cdb__takeover *t, far_place *f) {
  cdb__text_clear(&f->keys);
  cdb__text_puts(&f->keys, "[");
  for (f->count = 0; f->next < t->count && f->count < ASK_KEYS && f->keys.size < ASK_BYTES; f->next++) {
    const cdb__takeover_item *it = &t->items[f->next];
    if (!is_wanted(it, f->node) || has_nul(t, it)) continue;
    if (f->count) cdb__text_puts(&f->keys, ",");
    cdb__text_json(&f->keys, t->text + it->offset, it->size);
    f->items[f->count++] = (uint32_t)f->next;
  }
  cdb__text_puts(&f->keys, "]");
  return f->count > 0;
}

static int begin_round(far_place *f, cdb__fault *fault) {
  cdb__shard *shard = f->place->shard;
  const size_t size = strlen(f->place->probe_many);
  if (f->keys.failed) return cdb__fail(fault, CDB_NOMEM, "no memory for a page of keys");
  int code = cdb__stmt_take(shard, f->place->probe_many, size, cdb__sql_hash(f->place->probe_many, size),
                            &f->stmt, fault);
  if (code != CDB_OK) return code;
  const cdb_value keys = {.type = CDB_TEXT, .data = f->keys.data, .size = f->keys.size};
  return shard->ops->bind(f->stmt, 1, &keys, fault);
}

/* The answer has the positions of keys that are there. A place before this one may have had the key already.
 */
static int end_round(cdb__takeover *t, far_place *f, bool read, cdb__fault *fault) {
  int code = CDB_OK;
  cdb__fault ignored;
  cdb_value position;
  while (read && (code = cdb__step(f->stmt, fault)) == CDB__ROW) {
    f->place->shard->ops->value(f->stmt, 0, &position);
    if (position.type != CDB_INTEGER || position.i < 0 || (size_t)position.i >= f->count) continue;
    cdb__takeover_item *it = &t->items[f->items[position.i]];
    if (!it->elsewhere) it->other = (int32_t)f->place->shard_id;
    it->elsewhere = true;
  }
  cdb__reset(f->stmt, &ignored);
  cdb__stmt_give(f->stmt);
  f->stmt = NULL;
  return code < 0 ? code : CDB_OK;
}

/* One round of requests, to all places that have keys to be asked for. `any`: there were some. */
static int ask_round(cdb__takeover *t, far_place *far, size_t count, cdb__stmt **stmts, bool *any,
                     cdb__fault *fault) {
  size_t asked = 0;
  int code = cdb__takeover_stopped(t) ? cdb__takeover_fail_stopped(fault) : CDB_OK;
  for (size_t i = 0; i < count && code == CDB_OK; i++) {
    if (!fill_round(t, &far[i])) continue;
    code = begin_round(&far[i], fault);
    if (far[i].stmt) stmts[asked++] = far[i].stmt;
  }
  *any = asked > 0;
  if (asked && code == CDB_OK) far[0].place->shard->ops->fetch(stmts, asked);
  for (size_t i = 0; i < count; i++) {
    cdb__fault later;
    if (!far[i].stmt) continue;
    const int ended = end_round(t, &far[i], code == CDB_OK, &later);
    if (code == CDB_OK && ended != CDB_OK) {
      code = ended;
      *fault = later;
    }
  }
  return code;
}

static int ask_rest(cdb__takeover *t, const far_place *f, cdb__fault *fault) {
  const size_t size = strlen(f->place->probe);
  cdb__stmt *stmt = NULL;
  int code = CDB_OK;
  for (size_t i = 0; i < t->count && code == CDB_OK; i++) {
    cdb__takeover_item *it = &t->items[i];
    if (!is_wanted(it, f->node) || !has_nul(t, it)) continue;
    if (!stmt)
      code = cdb__stmt_take(f->place->shard, f->place->probe, size, cdb__sql_hash(f->place->probe, size),
                            &stmt, fault);
    if (code == CDB_OK) code = probe(t, f->place, it, stmt, fault);
  }
  if (stmt) cdb__stmt_give(stmt);
  return code;
}

static int ask_far(cdb__takeover *t, far_place *far, size_t count, cdb__fault *fault) {
  cdb__stmt **stmts = calloc(count + 1, sizeof *stmts);
  int code = stmts ? CDB_OK : cdb__fail(fault, CDB_NOMEM, "no memory for a page of keys");
  for (size_t i = 0; i < count && code == CDB_OK; i++) {
    far[i].items = malloc(ASK_KEYS * sizeof *far[i].items);
    if (!far[i].items) code = cdb__fail(fault, CDB_NOMEM, "no memory for a page of keys");
  }
  for (bool any = true; any && code == CDB_OK;) code = ask_round(t, far, count, stmts, &any, fault);
  for (size_t i = 0; i < count && code == CDB_OK; i++) code = ask_rest(t, &far[i], fault);
  for (size_t i = 0; i < count; i++) {
    free(far[i].items);
    cdb__text_free(&far[i].keys);
  }
  free(stmts);
  return code;
}

/* --- all --------------------------------------------------------------------------- */

int cdb__takeover_look_around(cdb__takeover *t, cdb__fault *fault) {
  far_place *far = calloc(t->plan.home_count + t->plan.other_count + 1, sizeof *far);
  if (!far) return cdb__fail(fault, CDB_NOMEM, "no memory for a page of keys");
  size_t count = 0;
  int code = CDB_OK;
  for (size_t i = 0; i < t->plan.home_count + t->plan.other_count && code == CDB_OK; i++) {
    const bool home = i < t->plan.home_count;
    const cdb__takeover_place *place = home ? &t->plan.homes[i] : &t->plan.others[i - t->plan.home_count];
    const int node = home ? (int)i : -1;
    if (home && place->shard_id == t->plan.shard_id) continue;
    if (is_far(place)) far[count++] = (far_place){.place = place, .node = node};
    else code = ask(t, place, node, fault);
  }
  if (code == CDB_OK && count) code = ask_far(t, far, count, fault);
  free(far);
  return code;
}
