/* The writing half of a takeover: a batch of keys becomes entries, and in the
 * same transaction the journal says how far that has come. */
#include <stdlib.h>
#include <string.h>

#include "directory/takeover_in.h"

static const char INSERT[] = "INSERT INTO _collegedb_entries (digest, shard, version) VALUES (?1, ?2, 0) ON "
                             "CONFLICT (digest) DO NOTHING";

static const char NOTE[] =
    "INSERT INTO _collegedb_takes (job, item, last, stop, mark, ended, records, created, at_home, known, "
    "conflicts, unusable) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) "
    "ON CONFLICT (job, item) DO UPDATE SET last = excluded.last, stop = excluded.stop, mark = excluded.mark, "
    "ended = excluded.ended, records = excluded.records, created = excluded.created, "
    "at_home = excluded.at_home, known = excluded.known, conflicts = excluded.conflicts, "
    "unusable = excluded.unusable";

static const char FIND[] = "SELECT last, stop, mark, ended, records, created, at_home, known, conflicts, "
                           "unusable FROM _collegedb_takes WHERE job = ?1 AND item = ?2";

static const char CLASH[] =
    "INSERT INTO _collegedb_conflicts (job, item, key, other) VALUES (?1, ?2, ?3, ?4)";

static const char PLACEMENT[] = "SELECT coalesce(max(number), 0) FROM _collegedb_placements";
static const char SHARD[] = "SELECT integrated, generation FROM _collegedb_shards WHERE id = ?1";

static const char INTEGRATED[] = "UPDATE _collegedb_shards SET integrated = ?1, conflicts = ?2 WHERE id = ?3";
static const char FINISHING[] = "UPDATE _collegedb_jobs SET step = 'finish' WHERE id = ?1";
static const char NEXT_EPOCH[] = "UPDATE _collegedb_counters SET value = value + 1 WHERE name = 'epoch'";

static cdb_value integer(int64_t i) { return (cdb_value){.type = CDB_INTEGER, .i = i}; }

/* Runs a statement without rows. */
static int run(cdb__shard *shard, const char *sql, const cdb_value *values, int count, cdb__fault *fault) {
  const size_t size = strlen(sql);
  cdb__stmt *stmt;
  int code = cdb__stmt_take(shard, sql, size, cdb__sql_hash(sql, size), &stmt, fault);
  if (code != CDB_OK) return code;
  for (int i = 0; i < count && code == CDB_OK; i++) code = shard->ops->bind(stmt, i + 1, &values[i], fault);
  if (code == CDB_OK) code = cdb__step(stmt, fault);
  cdb__fault ignored;
  cdb__reset(stmt, &ignored);
  cdb__stmt_give(stmt);
  return code;
}

/* --- what holds in this epoch ------------------------------------------------- */

static int check_plan(const cdb__takeover_plan *plan, cdb__fault *fault) {
  const cdb_value id[] = {integer(plan->shard_id)};
  int64_t placement[CDB__COLUMNS] = {0}, shard[CDB__COLUMNS] = {0};
  int found = cdb__directory_run(plan->directory, PLACEMENT, NULL, 0, placement, fault);
  if (found >= 0) found = cdb__directory_run(plan->directory, SHARD, id, 1, shard, fault);
  if (found < 0) return found;
  if (placement[0] == plan->placement && shard[1] == plan->generation) return CDB_OK;
  return cdb__fail(fault, CDB_MOVED, "placement or integration were changed meanwhile; integrate again");
}

static int look_at(const cdb__takeover_plan *plan, cdb__takeover_place *places, size_t count,
                   cdb__fault *fault) {
  for (size_t i = 0; i < count; i++) {
    const cdb_value id[] = {integer(places[i].shard_id)};
    int64_t columns[CDB__COLUMNS] = {0};
    places[i].asked = false;
    if (!places[i].shard) continue;
    const int found = cdb__directory_run(plan->directory, SHARD, id, 1, columns, fault);
    if (found < 0) return found;
    places[i].asked =
        places[i].when == CDB__ASK_ALWAYS || (places[i].when == CDB__ASK_INTEGRATED) == (columns[0] == 1);
  }
  return CDB_OK;
}

int cdb__takeover_look(cdb__takeover *t, cdb__fault *fault) {
  cdb__shard *directory = t->plan.directory;
  cdb__fault ignored;
  int64_t epoch = -1;
  int code = cdb__begin(directory, "BEGIN", fault);
  if (code != CDB_OK) return code;
  code = cdb__directory_epoch(directory, &epoch, fault);
  if (code == CDB_OK) code = check_plan(&t->plan, fault);
  if (code == CDB_OK) code = look_at(&t->plan, t->plan.homes, t->plan.home_count, fault);
  if (code == CDB_OK) code = look_at(&t->plan, t->plan.others, t->plan.other_count, fault);
  if (cdb__exec(directory, "COMMIT", &ignored) != CDB_OK) cdb__undo(directory, NULL);
  if (code == CDB_OK) t->epoch = epoch;
  return code;
}

/* --- the journal ---------------------------------------------------------------- */

static int read_place(cdb__takeover *t, cdb__stmt *stmt, cdb__fault *fault) {
  const cdb__shard_ops *ops = stmt->shard->ops;
  int64_t *const counts[] = {&t->counts.records, &t->counts.created,   &t->counts.at_home,
                             &t->counts.known,   &t->counts.conflicts, &t->counts.unusable};
  cdb_value value;
  ops->value(stmt, 0, &value);
  int code = cdb__own_value(&t->at.last, &value, fault);
  ops->value(stmt, 1, &value);
  if (code == CDB_OK) code = cdb__own_value(&t->at.stop, &value, fault);
  ops->value(stmt, 2, &value);
  if (value.type == CDB_BLOB && value.size == CDB__DIGEST_SIZE) memcpy(t->at.mark, value.data, value.size);
  ops->value(stmt, 3, &value);
  t->at.ended = value.type == CDB_INTEGER && value.i != 0;
  for (int i = 0; i < 6; i++) {
    ops->value(stmt, 4 + i, &value);
    *counts[i] = value.i;
  }
  return code;
}

int cdb__takeover_find_place(cdb__takeover *t, cdb__fault *fault) {
  cdb__shard *directory = t->plan.directory;
  const cdb_value job = integer(t->plan.job), item = integer(t->plan.item);
  cdb__stmt *stmt;
  int code =
      cdb__stmt_take(directory, FIND, sizeof FIND - 1, cdb__sql_hash(FIND, sizeof FIND - 1), &stmt, fault);
  if (code != CDB_OK) return code;
  code = directory->ops->bind(stmt, 1, &job, fault);
  if (code == CDB_OK) code = directory->ops->bind(stmt, 2, &item, fault);
  if (code == CDB_OK) code = cdb__step(stmt, fault);
  if (code == CDB__ROW) code = read_place(t, stmt, fault);
  t->noted = t->counts.records;
  cdb__fault ignored;
  cdb__reset(stmt, &ignored);
  cdb__stmt_give(stmt);
  return code;
}

static int note(const cdb__takeover *t, const cdb__takeover_position *at, cdb__fault *fault) {
  const cdb__takeover_counts *c = &t->counts;
  const cdb_value mark = {.type = CDB_BLOB, .data = at->mark, .size = CDB__DIGEST_SIZE};
  const cdb_value values[] = {integer(t->plan.job),
                              integer(t->plan.item),
                              at->last.value,
                              at->stop.value,
                              mark,
                              integer(at->ended),
                              integer(c->records),
                              integer(c->created),
                              integer(c->at_home),
                              integer(c->known),
                              integer(c->conflicts),
                              integer(c->unusable)};
  return run(t->plan.directory, NOTE, values, 12, fault);
}

/* --- entries -------------------------------------------------------------------- */

static int insert(cdb__takeover *t, cdb__stmt *stmt, const cdb__takeover_item *it, bool *inserted,
                  cdb__fault *fault) {
  cdb__shard *directory = t->plan.directory;
  const cdb_value digest = {.type = CDB_BLOB, .data = it->digest, .size = CDB__DIGEST_SIZE};
  const cdb_value shard = integer(it->elsewhere ? it->other : t->plan.shard_id);
  int code = directory->ops->bind(stmt, 1, &digest, fault);
  if (code == CDB_OK) code = directory->ops->bind(stmt, 2, &shard, fault);
  if (code == CDB_OK) code = cdb__step(stmt, fault);
  *inserted = code == CDB__DONE && directory->ops->changes(stmt) > 0;
  cdb__fault ignored;
  cdb__reset(stmt, &ignored);
  return code;
}

static int add_clash(cdb__takeover *t, const cdb__takeover_item *it, int64_t other, cdb__fault *fault) {
  if (t->clash_count == t->clash_capacity) {
    const size_t wanted = t->clash_capacity ? t->clash_capacity * 2 : 64;
    cdb__takeover_clash *grown = realloc(t->clashes, wanted * sizeof *grown);
    if (!grown) return cdb__fail(fault, CDB_NOMEM, "no memory for %zu conflicts", wanted);
    t->clashes = grown;
    t->clash_capacity = wanted;
  }
  t->clashes[t->clash_count++] = (cdb__takeover_clash){(uint32_t)(it - t->items), other};
  t->counts.conflicts++;
  if (!t->plan.job || t->kept >= t->plan.keep) return CDB_OK;
  const cdb_value key = {.type = CDB_BLOB, .data = t->text + it->offset, .size = it->size};
  const cdb_value values[] = {integer(t->plan.job), integer(t->plan.item), key, integer(other)};
  t->kept++;
  return run(t->plan.directory, CLASH, values, 4, fault);
}

static int count_entry(cdb__takeover *t, const cdb__takeover_item *it, int64_t owner, cdb__fault *fault) {
  if (owner != t->plan.shard_id) return add_clash(t, it, owner, fault);
  t->counts.known++;
  return CDB_OK;
}

/* A key that is at home needs no entry, nor one that is left where it was seen
 * elsewhere; but one that is both would be looked for here first, where it does not stand. */
static int write_item(cdb__takeover *t, cdb__stmt *stmt, const cdb__takeover_item *it, cdb__fault *fault) {
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
  /* An entry says who stands, whatever was seen elsewhere. */
  if (found) return count_entry(t, it, entry.shard, fault);
  if (it->elsewhere) return count_entry(t, it, it->other, fault);
  if (it->at_home) t->counts.at_home++;
  else t->counts.created++;
  return CDB_OK;
}

/* --- a batch -------------------------------------------------------------------- */

/* Where the takeover is once the items before `to` are written; the values are borrowed. */
static cdb__takeover_position position_after(const cdb__takeover *t, size_t to) {
  cdb__takeover_position at = t->at;
  const cdb_value none = {.type = CDB_NULL};
  if (to < t->count) {
    at.stop.value = t->page_last.value;
    memcpy(at.mark, t->items[to - 1].digest, CDB__DIGEST_SIZE);
  } else if (t->bounded && t->page_ended) {
    at.last.value = t->at.stop.value;
    at.stop.value = none;
  } else {
    if (!t->page_ended) at.last.value = t->page_last.value;
    if (!t->bounded) {
      at.stop.value = none;
      at.ended = t->page_ended;
    }
  }
  return at;
}

static int keep_position(cdb__takeover *t, const cdb__takeover_position *at, cdb__fault *fault) {
  int code = cdb__own_value(&t->at.last, &at->last.value, fault);
  if (code == CDB_OK) code = cdb__own_value(&t->at.stop, &at->stop.value, fault);
  memmove(t->at.mark, at->mark, CDB__DIGEST_SIZE);
  t->at.ended = at->ended;
  return code;
}

/* Keys of one digest are in one batch, so that its end can be told by a digest. */
static size_t batch_end(const cdb__takeover *t) {
  size_t to = t->next + t->plan.batch;
  if (t->bounded || to >= t->count) return t->count;
  while (to < t->count && memcmp(t->items[to].digest, t->items[to - 1].digest, CDB__DIGEST_SIZE) == 0) to++;
  return to;
}

static int write_all(cdb__takeover *t, cdb__stmt *stmt, size_t to, const cdb__takeover_position *at,
                     cdb__fault *fault) {
  cdb__shard *directory = t->plan.directory;
  int64_t epoch = 0;
  int code = cdb__directory_epoch(directory, &epoch, fault);
  if (code == CDB_OK && epoch != t->epoch) return CDB__TAKEOVER_STALLED;
  for (size_t i = t->next; i < to && code == CDB_OK; i++) code = write_item(t, stmt, &t->items[i], fault);
  t->counts.records += t->records;
  t->counts.unusable += t->unusable;
  if (code == CDB_OK && t->plan.job) code = note(t, at, fault);
  return code;
}

/* One transaction; the epoch is looked at inside it, so that it cannot change before the commit. */
static int write_batch(cdb__takeover *t, cdb__stmt *stmt, cdb__fault *fault) {
  cdb__shard *directory = t->plan.directory;
  const cdb__takeover_counts before = t->counts;
  const int64_t kept = t->kept;
  const size_t to = batch_end(t);
  const cdb__takeover_position at = position_after(t, to);
  int code = cdb__begin(directory, t->plan.dry_run ? "BEGIN" : "BEGIN IMMEDIATE", fault);
  if (code == CDB_BUSY) return CDB__TAKEOVER_STALLED; /* many others write it: what was read will be old */
  if (code != CDB_OK) return code;
  code = write_all(t, stmt, to, &at, fault);
  if (code == CDB_OK) code = cdb__exec(directory, "COMMIT", fault);
  if (code == CDB_OK) {
    t->next = to;
    t->records = t->unusable = 0;
    t->loaded = to < t->count;
    return keep_position(t, &at, fault);
  }
  cdb__undo(directory, NULL);
  t->counts = before;
  t->kept = kept;
  t->clash_count = 0;
  return code;
}

int cdb__takeover_write(cdb__takeover *t, cdb__fault *fault) {
  cdb__stmt *stmt;
  int code = cdb__stmt_take(t->plan.directory, INSERT, sizeof INSERT - 1,
                            cdb__sql_hash(INSERT, sizeof INSERT - 1), &stmt, fault);
  if (code != CDB_OK) return code;
  code = write_batch(t, stmt, fault);
  cdb__stmt_give(stmt);
  return code;
}

int cdb__takeover_finish(const cdb__takeover_plan *plan, bool integrated, int64_t conflicts,
                         cdb__fault *fault) {
  cdb__shard *directory = plan->directory;
  const cdb_value values[] = {integer(integrated), integer(conflicts), integer(plan->shard_id)};
  const cdb_value job[] = {integer(plan->job)};
  int code = cdb__begin(directory, "BEGIN IMMEDIATE", fault);
  if (code != CDB_OK) return code;
  code = check_plan(plan, fault);
  if (code == CDB_OK) code = run(directory, INTEGRATED, values, 3, fault);
  if (code == CDB_OK) code = run(directory, NEXT_EPOCH, NULL, 0, fault);
  if (code == CDB_OK) code = run(directory, FINISHING, job, 1, fault);
  if (code == CDB_OK) code = cdb__exec(directory, "COMMIT", fault);
  if (code != CDB_OK) cdb__undo(directory, NULL);
  return code;
}
