#include "directory/takeover.h"

#include <stdlib.h>
#include <string.h>

enum {
  PAGE = 1 << 19,        /* keys in memory at once: 12 MiB of entries … */
  TEXT_MAX = 24 << 20,   /* … and at most this much text, whichever is full first */
  COMMIT_EVERY = 1 << 15 /* entries a transaction, so that others may write in between */
};

typedef struct {
  uint8_t digest[CDB__DIGEST_SIZE];
  uint32_t offset;
  uint16_t size;
  bool at_home;
  bool elsewhere; /* a row of the key was seen on `other` */
  int32_t other;
} item;

struct cdb__takeover {
  cdb__takeover_plan plan;
  cdb__takeover_counts counts;
  cdb__takeover_conflict on_conflict;
  void *context;
  item *items;
  size_t count;
  char *text;
  size_t text_size, text_capacity;
  bool started, ended;
  int last_type; /* where the next page begins: the last key read */
  int64_t last_integer;
  double last_real;
  char *last;
  size_t last_size;
};

cdb__takeover *cdb__takeover_new(const cdb__takeover_plan *plan, cdb__takeover_conflict on_conflict,
                                 void *context) {
  cdb__takeover *t = calloc(1, sizeof *t);
  if (!t) return NULL;
  t->plan = *plan;
  if (t->plan.page == 0 || t->plan.page > PAGE) t->plan.page = PAGE;
  t->on_conflict = on_conflict;
  t->context = context;
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
  free(t->last);
  free(t);
}

const cdb__takeover_counts *cdb__takeover_get_counts(const cdb__takeover *t) { return &t->counts; }

/* --- reading a page ---------------------------------------------------------- */

static bool is_last(const cdb__takeover *t, const cdb_value *value) {
  if (value->type != t->last_type) return false;
  if (value->type == CDB_INTEGER) return value->i == t->last_integer;
  if (value->type == CDB_REAL) return value->d == t->last_real;
  return value->size == t->last_size && memcmp(value->data, t->last, value->size) == 0;
}

static int remember_last(cdb__takeover *t, const cdb_value *value, cdb__fault *fault) {
  t->last_type = value->type;
  t->last_integer = value->i;
  t->last_real = value->d;
  if (value->type != CDB_TEXT && value->type != CDB_BLOB) return CDB_OK;
  char *copy = realloc(t->last, value->size + 1);
  if (!copy) return cdb__fail(fault, CDB_NOMEM, "no memory for a key of %zu bytes", value->size);
  memcpy(copy, value->data, value->size);
  t->last = copy;
  t->last_size = value->size;
  return CDB_OK;
}

static cdb_value last_value(const cdb__takeover *t) {
  return (cdb_value){t->last_type, t->last_integer, t->last_real, t->last, t->last_size};
}

static int add_text(cdb__takeover *t, const char *text, size_t size, item *out, cdb__fault *fault) {
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

/* Has the place a row of the key? 1 yes, 0 no, < 0 a code. */
static int probe(const cdb__takeover_place *home, const cdb__key *key, cdb__fault *fault) {
  const cdb_value value = {.type = CDB_TEXT, .data = key->text, .size = key->size};
  cdb__stmt *stmt;
  const size_t size = strlen(home->probe);
  int code = cdb__stmt_take(home->shard, home->probe, size, cdb__sql_hash(home->probe, size), &stmt, fault);
  if (code != CDB_OK) return code;
  code = home->shard->ops->bind(stmt, 1, &value, fault);
  if (code == CDB_OK) code = cdb__step(stmt, fault);
  cdb__fault ignored;
  cdb__reset(stmt, &ignored);
  cdb__stmt_give(stmt);
  return code;
}

static int ask(const cdb__takeover_place *place, const cdb__key *key, item *to, cdb__fault *fault) {
  if (!place->shard || to->elsewhere) return CDB_OK;
  const int found = probe(place, key, fault);
  if (found < 0) return found;
  to->elsewhere = found;
  to->other = (int32_t)place->shard_id;
  return CDB_OK;
}

/* Whether the key is at home here, and whether it is also where it would stand before ours. */
static int look_around(cdb__takeover *t, const cdb__key *key, item *to, cdb__fault *fault) {
  int code = CDB_OK;
  to->at_home = to->elsewhere = false;
  if (t->plan.home_count) {
    const size_t node = cdb__place(cdb__key_place_hash(key), t->plan.nodes, t->plan.home_count);
    to->at_home = t->plan.homes[node].shard_id == t->plan.shard_id;
    if (!to->at_home) code = ask(&t->plan.homes[node], key, to, fault);
  }
  for (size_t i = 0; i < t->plan.other_count && code == CDB_OK; i++)
    code = ask(&t->plan.others[i], key, to, fault);
  return code;
}

static int add(cdb__takeover *t, const cdb_value *value, cdb__fault *fault) {
  cdb__key key;
  char folded[CDB__KEY_MAX];
  t->counts.records++;
  if (!to_key(t, value, &key, folded)) {
    t->counts.unusable++;
    return CDB_OK;
  }
  item *to = &t->items[t->count];
  const int looked = look_around(t, &key, to, fault);
  if (looked != CDB_OK) return looked;
  cdb__key_digest(&key, t->plan.secret, t->plan.secret_size, to->digest);
  const int code = add_text(t, key.text, key.size, to, fault);
  if (code == CDB_OK) t->count++;
  return code;
}

static int bind_page(cdb__takeover *t, cdb__stmt *stmt, cdb__fault *fault) {
  const cdb_value limit = {.type = CDB_INTEGER, .i = (int64_t)t->plan.page}, last = last_value(t);
  const int code = stmt->shard->ops->bind(stmt, 1, &limit, fault);
  return code == CDB_OK && t->started ? stmt->shard->ops->bind(stmt, 2, &last, fault) : code;
}

static int read_rows(cdb__takeover *t, cdb__stmt *stmt, cdb__fault *fault) {
  size_t rows = 0;
  int code = bind_page(t, stmt, fault);
  while (code == CDB_OK && t->text_size < TEXT_MAX) {
    code = cdb__step(stmt, fault);
    if (code != CDB__ROW) break;
    cdb_value value;
    stmt->shard->ops->value(stmt, 0, &value);
    rows++;
    /* A column without a UNIQUE index may repeat its keys; they come one after another. */
    const bool repeated = t->started && is_last(t, &value);
    t->started = true;
    code = repeated ? CDB_OK : remember_last(t, &value, fault);
    if (code == CDB_OK && !repeated) code = add(t, &value, fault);
  }
  if (code == CDB__DONE && rows < t->plan.page && t->text_size < TEXT_MAX) t->ended = true;
  return code < 0 ? code : CDB_OK;
}

static int read_page(cdb__takeover *t, cdb__fault *fault) {
  const char *sql = t->started ? t->plan.next_page : t->plan.first_page;
  const size_t size = strlen(sql);
  cdb__stmt *stmt;
  t->count = t->text_size = 0;
  int code = cdb__stmt_take(t->plan.source, sql, size, cdb__sql_hash(sql, size), &stmt, fault);
  if (code != CDB_OK) return code;
  code = read_rows(t, stmt, fault);
  cdb__fault ignored;
  cdb__reset(stmt, &ignored);
  cdb__stmt_give(stmt);
  return code;
}

/* Probing reads each place in one transaction a page: a lock for each key would
 * cost more than the lookup. Where the user has one open, that one serves. */
static void begin_reading(cdb__takeover_place *places, size_t count) {
  cdb__fault ignored;
  for (size_t i = 0; i < count; i++) {
    cdb__shard *shard = places[i].shard;
    if (!shard || shard->ops->in_transaction(shard)) continue;
    places[i].reading = cdb__exec(shard, "BEGIN", &ignored) == CDB_OK;
  }
}

static void end_reading(cdb__takeover_place *places, size_t count) {
  cdb__fault ignored;
  for (size_t i = 0; i < count; i++) {
    if (places[i].reading && cdb__exec(places[i].shard, "COMMIT", &ignored) != CDB_OK)
      cdb__exec(places[i].shard, "ROLLBACK", &ignored);
    places[i].reading = false;
  }
}

/* --- writing a page ---------------------------------------------------------- */

static int by_digest(const void *a, const void *b) {
  return memcmp(((const item *)a)->digest, ((const item *)b)->digest, CDB__DIGEST_SIZE);
}

static const char INSERT[] = "INSERT INTO _collegedb_entries (digest, shard, version) VALUES (?1, ?2, 0) ON "
                             "CONFLICT (digest) DO NOTHING";

static int insert(cdb__takeover *t, cdb__stmt *stmt, const item *it, bool *inserted, cdb__fault *fault) {
  cdb__shard *directory = t->plan.directory;
  const cdb_value digest = {.type = CDB_BLOB, .data = it->digest, .size = CDB__DIGEST_SIZE};
  const cdb_value shard = {.type = CDB_INTEGER, .i = it->elsewhere ? it->other : t->plan.shard_id};
  int code = directory->ops->bind(stmt, 1, &digest, fault);
  if (code == CDB_OK) code = directory->ops->bind(stmt, 2, &shard, fault);
  if (code == CDB_OK) code = cdb__step(stmt, fault);
  *inserted = code == CDB__DONE && directory->ops->changes(stmt) > 0;
  cdb__fault ignored;
  cdb__reset(stmt, &ignored);
  return code;
}

static void count_entry(cdb__takeover *t, const item *it, int64_t owner) {
  if (owner == t->plan.shard_id) {
    t->counts.known++;
    return;
  }
  t->counts.conflicts++;
  t->on_conflict(t->context, t->text + it->offset, it->size, owner);
}

/* A key that is at home needs no entry, nor one that is left where it was seen
 * elsewhere; but one that is both would be looked for here first, where it does not stand. */
static int write_item(cdb__takeover *t, cdb__stmt *stmt, const item *it, cdb__fault *fault) {
  bool inserted = false;
  if (it->at_home == it->elsewhere && !t->plan.dry_run) {
    const int code = insert(t, stmt, it, &inserted, fault);
    if (code != CDB_OK) return code;
  }
  if (inserted && !it->elsewhere) {
    t->counts.created++;
    return CDB_OK;
  }
  cdb__entry entry;
  const int found = cdb__directory_entry(t->plan.directory, it->digest, &entry, fault);
  if (found < 0) return found;
  if (found) count_entry(t, it, entry.shard); /* an entry says who stands, whatever was seen elsewhere */
  else if (it->elsewhere) count_entry(t, it, it->other);
  else if (it->at_home) t->counts.at_home++;
  else t->counts.created++;
  return CDB_OK;
}

/* One transaction; the epoch is looked at inside it, so that it cannot change before the commit. */
static int write_items(cdb__takeover *t, cdb__stmt *stmt, size_t from, size_t to, cdb__fault *fault) {
  cdb__shard *directory = t->plan.directory;
  const cdb__takeover_counts before = t->counts;
  cdb__fault ignored;
  int64_t epoch = 0;
  int code = cdb__exec(directory, t->plan.dry_run ? "BEGIN" : "BEGIN IMMEDIATE", fault);
  if (code != CDB_OK) return code;
  code = cdb__directory_epoch(directory, &epoch, fault);
  if (code == CDB_OK && epoch != t->plan.epoch)
    code = cdb__fail(fault, CDB_MOVED, "the epoch changed from %lld to %lld meanwhile; integrate again",
                     (long long)t->plan.epoch, (long long)epoch);
  for (size_t i = from; i < to && code == CDB_OK; i++) code = write_item(t, stmt, &t->items[i], fault);
  if (code == CDB_OK) code = cdb__exec(directory, "COMMIT", fault);
  if (code == CDB_OK) return CDB_OK;
  if (directory->ops->in_transaction(directory)) cdb__exec(directory, "ROLLBACK", &ignored);
  t->counts = before;
  return code;
}

static int write_page(cdb__takeover *t, cdb__fault *fault) {
  cdb__stmt *stmt;
  qsort(t->items, t->count, sizeof *t->items, by_digest);
  int code = cdb__stmt_take(t->plan.directory, INSERT, sizeof INSERT - 1,
                            cdb__sql_hash(INSERT, sizeof INSERT - 1), &stmt, fault);
  if (code != CDB_OK) return code;
  for (size_t from = 0; from < t->count && code == CDB_OK; from += COMMIT_EVERY) {
    const size_t to = t->count - from < COMMIT_EVERY ? t->count : from + COMMIT_EVERY;
    code = write_items(t, stmt, from, to, fault);
  }
  cdb__stmt_give(stmt);
  return code;
}

int cdb__takeover_step(cdb__takeover *t, cdb__fault *fault) {
  if (t->ended) return 0;
  begin_reading(t->plan.homes, t->plan.home_count);
  begin_reading(t->plan.others, t->plan.other_count);
  int code = read_page(t, fault);
  end_reading(t->plan.homes, t->plan.home_count);
  end_reading(t->plan.others, t->plan.other_count);
  if (code == CDB_OK) code = write_page(t, fault);
  if (code != CDB_OK) return code;
  return t->ended ? 0 : 1;
}
