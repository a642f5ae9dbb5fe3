#include "directory/directory.h"

#include <string.h>

#include "core/clock.h"

static const char LOOKUP[] = "SELECT shard, version FROM _collegedb_entries WHERE digest = ?1";

/* The same together with the epoch and whether there are entries at all, at one moment. */
static const char LOOKUP_IN_EPOCH[] =
    "SELECT e.shard, e.version, c.value, EXISTS (SELECT 1 FROM _collegedb_entries) "
    "FROM _collegedb_counters AS c "
    "LEFT JOIN _collegedb_entries AS e ON e.digest = ?1 WHERE c.name = 'epoch'";

/* One atomic statement, also over HTTP: the update that changes nothing makes
 * RETURNING give the row of whoever came first. */
static const char CLAIM[] = "INSERT INTO _collegedb_entries (digest, shard, version) SELECT ?1, ?2, ?3 "
                            "WHERE (SELECT value FROM _collegedb_counters WHERE name = 'epoch') = ?4 "
                            "ON CONFLICT (digest) DO UPDATE SET version = version RETURNING shard, version";

static const char EPOCH[] = "SELECT value FROM _collegedb_counters WHERE name = 'epoch'";

static cdb_value digest_value(const uint8_t *digest) {
  return (cdb_value){.type = CDB_BLOB, .data = digest, .size = CDB__DIGEST_SIZE};
}

static cdb_value integer_value(int64_t i) { return (cdb_value){.type = CDB_INTEGER, .i = i}; }

int cdb__directory_run(cdb__shard *shard, const char *sql, const cdb_value *values, int count,
                       int64_t *columns, cdb__fault *fault) {
  const size_t size = strlen(sql);
  cdb__stmt *stmt;
  int code = cdb__stmt_take(shard, sql, size, cdb__sql_hash(sql, size), &stmt, fault);
  if (code != CDB_OK) return code;
  for (int i = 0; i < count && code == CDB_OK; i++) code = shard->ops->bind(stmt, i + 1, &values[i], fault);
  int found = 0;
  if (code == CDB_OK) code = cdb__step(stmt, fault);
  while (code == CDB__ROW) {
    found = 1;
    for (int i = 0; i < stmt->columns && i < CDB__COLUMNS; i++) {
      cdb_value value;
      shard->ops->value(stmt, i, &value);
      columns[i] = value.type == CDB_INTEGER ? value.i : -1;
    }
    code = stmt->readonly ? CDB__DONE : cdb__step(stmt, fault);
  }
  cdb__fault late;
  const int reset = cdb__reset(stmt, code < 0 ? &late : fault);
  cdb__stmt_give(stmt);
  if (code < 0) return code;
  return reset < 0 ? reset : found;
}

int cdb__directory_entry(cdb__shard *shard, const uint8_t digest[CDB__DIGEST_SIZE], cdb__entry *out,
                         cdb__fault *fault) {
  const cdb_value values[] = {digest_value(digest)};
  int64_t columns[CDB__COLUMNS] = {-1, -1, -1, -1};
  const int found = cdb__directory_run(shard, LOOKUP, values, 1, columns, fault);
  *out = (cdb__entry){columns[0], columns[1]};
  return found;
}

int cdb__directory_epoch(cdb__shard *shard, int64_t *out, cdb__fault *fault) {
  int64_t columns[CDB__COLUMNS] = {0};
  const int found = cdb__directory_run(shard, EPOCH, NULL, 0, columns, fault);
  if (found == 0) return cdb__fail(fault, CDB_CORRUPT, "the directory has lost its epoch");
  *out = columns[0];
  return found < 0 ? found : CDB_OK;
}

/* A directory that was deleted or replaced would be read for ever as it was. */
static int check_moved(cdb__directory *directory, cdb__fault *fault) {
  cdb__shard *shard = directory->shard;
  if (!shard->ops->moved || !shard->ops->moved(shard)) {
    directory->looked = cdb__clock_ticks();
    return CDB_OK;
  }
  directory->looked = 0;
  return cdb__fail(fault, CDB_UNAVAILABLE,
                   "the directory's file was deleted or replaced; open the database again");
}

/* The look costs a system call with the file's whole path, as much as a fifth of
 * a read: once a second is soon enough, where the cache may be older than that. */
static bool looked_lately(const cdb__directory *directory) {
  enum { SECOND = 1000000000 };
  return directory->looked && cdb__clock_ticks() - directory->looked < SECOND;
}

bool cdb__directory_is_empty(const cdb__directory *directory) {
  const cdb__shard *shard = directory->shard;
  return directory->empty && looked_lately(directory) && shard->ops->is_still(shard, &directory->empty_at);
}

static int look_up_in_epoch(cdb__directory *directory, const cdb_value *digest, cdb__entry *out,
                            cdb__fault *fault) {
  cdb__shard *shard = directory->shard;
  int64_t columns[CDB__COLUMNS] = {-1, -1, -1, -1};
  cdb__version before;
  const bool told = shard->ops->version && shard->ops->version(shard, &before);
  directory->stamp = 0;
  directory->empty = false;
  const int found = cdb__directory_run(shard, LOOKUP_IN_EPOCH, digest, 1, columns, fault);
  if (found < 0) return found;
  if (!found) return cdb__fail(fault, CDB_CORRUPT, "the directory has lost its epoch");
  directory->epoch = columns[2];
  directory->stamp = shard->ops->stamp(shard);
  /* The same version before and after: it is the one that the statement has read. */
  directory->empty = told && columns[3] == 0 && shard->ops->is_still(shard, &before);
  if (directory->empty) directory->empty_at = before;
  *out = (cdb__entry){columns[0], columns[1]};
  return columns[0] >= 0;
}

int cdb__directory_lookup(cdb__directory *directory, const uint8_t digest[CDB__DIGEST_SIZE], cdb__entry *out,
                          cdb__fault *fault) {
  cdb__shard *shard = directory->shard;
  const cdb_value value = digest_value(digest);
  const int moved = looked_lately(directory) ? CDB_OK : check_moved(directory, fault);
  if (moved != CDB_OK) return moved;
  /* Nobody has written since the epoch was read: it is still that, and one lookup is enough. Where there was
   * no entry, it is worth to look once more whether that is still so. */
  if (directory->stamp && !directory->empty) {
    const int found = cdb__directory_entry(shard, digest, out, fault);
    if (found < 0 || shard->ops->stamp(shard) == directory->stamp) return found;
  }
  return look_up_in_epoch(directory, &value, out, fault);
}

int cdb__directory_claim(cdb__directory *directory, const uint8_t digest[CDB__DIGEST_SIZE], cdb__entry wanted,
                         int64_t epoch, cdb__entry *out, cdb__fault *fault) {
  const cdb_value values[] = {digest_value(digest), integer_value(wanted.shard),
                              integer_value(wanted.version), integer_value(epoch)};
  int64_t columns[CDB__COLUMNS];
  const int moved = check_moved(directory, fault);
  if (moved != CDB_OK) return moved;
  const int found = cdb__directory_run(directory->shard, CLAIM, values, 4, columns, fault);
  if (found == 1) *out = (cdb__entry){columns[0], columns[1]};
  return found;
}
