/* The C interface when memory runs out: from the n-th allocation on, all fail,
 * for many n. Every call must answer CDB_OK or CDB_NOMEM, the router must work
 * again once there is memory, and nothing may be left when it is closed.
 * Not for sanitized builds, which have an allocator of their own. */
#include <stdbool.h>

#include "check.h"

extern void *__libc_malloc(size_t size), *__libc_calloc(size_t count, size_t size),
    *__libc_realloc(void *block, size_t size), __libc_free(void *block);

static long live, allocations, limit = -1; /* -1: there is memory for all */

static bool refused(void) { return allocations++ >= limit && limit >= 0; }

void *malloc(size_t size) {
  void *block = refused() ? NULL : __libc_malloc(size);
  if (block) live++;
  return block;
}

void *calloc(size_t count, size_t size) {
  void *block = refused() ? NULL : __libc_calloc(count, size);
  if (block) live++;
  return block;
}

void *realloc(void *old, size_t size) {
  if (!old) return malloc(size);
  return refused() ? NULL : __libc_realloc(old, size);
}

void free(void *block) {
  if (block) live--;
  __libc_free(block);
}

static void allow(long count) {
  allocations = 0;
  limit = count;
}

static void expect(const char *what, int code, long n) {
  if (code >= 0 || code == CDB_NOMEM) return;
  printf("%s, allocation %ld: %d %s\n", what, n, code, err.message);
  failures++;
}

static const char CONFIG[] = "return { kv = 'memory:', shards = { a = ':memory:', b = ':memory:' } }";

/* Opens with n allocations; false when that was enough. */
static bool starve_open(const char *path, long n) {
  cdb *db = NULL;
  const long before = live;
  allow(n);
  const int code = cdb_open(&db, path, &err);
  allow(-1);
  expect("open", code, n);
  CHECK((code == CDB_OK) == (db != NULL));
  if (db) run(db, "k", "SELECT 1");
  cdb_close(db);
  if (live != before) {
    printf("open, allocation %ld: %ld blocks left\n", n, live - before);
    failures++;
  }
  return code != CDB_OK;
}

static int use(cdb *db, const char *sql, int variant) {
  const cdb_value key = text("key"), params[] = {text("some text"), blob("some bytes", 10)};
  cdb_rows *rows = NULL;
  char shard[16];
  if (variant == 0) return cdb_locate(db, &key, shard, sizeof shard, &err);
  int code = cdb_query(db, &key, sql, params, variant == 1 ? 2 : 0, &rows, &err);
  while (code == CDB_OK && (code = cdb_rows_next(rows, &err)) == 1) code = CDB_OK, cdb_rows_value(rows, 0);
  cdb_rows_close(rows);
  return code;
}

/* One call with n allocations on a router that has run it before or not; false when that was enough. */
static bool starve_use(const char *path, const char *sql, int variant, bool warm, bool close_starving,
                       long n) {
  cdb *db;
  const long before = live;
  CHECK(cdb_open(&db, path, &err) == CDB_OK);
  run(db, "key", "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b)");
  run(db, "key", "INSERT INTO t (a, b) VALUES (1, 2), (zeroblob(5000), 4)");
  if (warm) expect("warm", use(db, sql, variant), 0);
  allow(n);
  const int code = use(db, sql, variant);
  if (!close_starving) allow(-1);
  expect(sql, code, n);
  if (!close_starving) expect("again", use(db, sql, variant), n), run(db, "key", "UPDATE t SET a = a");
  if (close_starving) allow(0);
  cdb_close(db);
  allow(-1);
  if (live != before) {
    printf("%s, allocation %ld: %ld blocks left\n", sql, n, live - before);
    failures++;
  }
  return code < 0;
}

static void starve_uses(const char *path) {
  static const struct {
    const char *sql;
    int variant;
  } uses[] = {{"", 0},
              {"INSERT INTO t (a, b) VALUES (?, ?)", 1},
              {"INSERT INTO t (a, b) VALUES (?, ?) RETURNING *", 1},
              {"SELECT a, b, a || 'x' AS c FROM t ORDER BY b", 2},
              {"SELECT nothing FROM t", 2}};
  for (size_t i = 0; i < sizeof uses / sizeof *uses; i++)
    for (int how = 0; how < 4; how++) {
      long n = 0;
      if (i == 4) continue; /* fails with memory too: below */
      while (starve_use(path, uses[i].sql, uses[i].variant, how & 1, how & 2, n)) n++;
      printf("%s (%d): %ld allocations\n", uses[i].sql, how, n);
    }
}

int main(int argc, char **argv) {
  const char *path = config(CONFIG);
  const long step = argc > 1 ? atol(argv[1]) : 97;
  setvbuf(stdout, NULL, _IONBF, 0);
  starve_open(path, -1);
  long n = 0;
  while (starve_open(path, n)) n += n < 300 ? 1 : step;
  printf("open: %ld allocations\n", n);
  starve_uses(path);
  return finish();
}
