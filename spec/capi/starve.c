/* The C interface when memory runs out: from the n-th allocation on, two or
 * all fail, for many n. (Lua asks a second time, after collecting garbage.) Every call must answer CDB_OK or
 * CDB_NOMEM, the router must work again once there is memory, and nothing may be left when it is closed. Not
 * for sanitized builds, which have an allocator of their own. */
#include <errno.h>
#include <stdbool.h>

#include "check.h"

extern void *__libc_malloc(size_t size), *__libc_calloc(size_t count, size_t size),
    *__libc_realloc(void *block, size_t size), __libc_free(void *block);

enum { FOREVER = 1L << 30 };
static long live, allocations, limit = -1, width; /* limit -1: there is memory for all */

static bool refused(void) {
  const long n = allocations++;
  if (limit < 0 || n < limit || n - limit >= width) return false;
  errno = ENOMEM;
  return true;
}

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
  const bool enough = n < 0 || allocations <= n;
  allow(-1);
  expect("open", code, n);
  CHECK((code == CDB_OK) == (db != NULL));
  if (db) run(db, "k", "SELECT 1");
  cdb_close(db);
  if (live != before) {
    printf("open, allocation %ld: %ld blocks left\n", n, live - before);
    failures++;
  }
  return !enough;
}

/* What is starved: a locate, or a statement with its rows. */
static int use(cdb *db, const char *sql, bool params) {
  const cdb_value key = text("key"), other = text("other"),
                  values[] = {text("some text"), blob("some bytes", 10)};
  cdb_rows *rows = NULL;
  char shard[16];
  if (!sql) return cdb_locate(db, &other, shard, sizeof shard, &err);
  int code = cdb_query(db, &key, sql, values, params ? 2 : 0, &rows, &err);
  while (code == CDB_OK && (code = cdb_rows_next(rows, &err)) == 1) {
    code = CDB_OK;
    cdb_rows_value(rows, 0);
  }
  cdb_rows_close(rows);
  return code;
}

enum { WARM = 1, CLOSE_STARVING = 2, ALL_HOWS = 4 };

/* One use with n allocations on a new router, which did the same before if it
 * is WARM. False when that was enough. */
static bool starve_use(const char *path, const char *sql, bool params, int how, long n) {
  cdb *db;
  const long before = live;
  CHECK(cdb_open(&db, path, &err) == CDB_OK);
  run(db, "key", "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b)");
  run(db, "key", "INSERT INTO t (a, b) VALUES (1, 2), (zeroblob(5000), 4)");
  if (how & WARM) CHECK(use(db, sql, params) == CDB_OK);
  allow(n);
  const int code = use(db, sql, params);
  const bool enough = allocations <= n;
  allow(how & CLOSE_STARVING ? 0 : -1);
  expect(sql ? sql : "locate", code, n);
  if (!(how & CLOSE_STARVING)) {
    CHECK(use(db, sql, params) == CDB_OK);
    run(db, "key", "UPDATE t SET a = a"); /* nothing holds the table */
  }
  cdb_close(db);
  allow(-1);
  if (live != before) {
    printf("%s, allocation %ld: %ld blocks left\n", sql ? sql : "locate", n, live - before);
    failures++;
  }
  return !enough;
}

static void starve_uses(const char *path) {
  static const struct {
    const char *sql;
    bool params;
  } uses[] = {{NULL, false},
              {"INSERT INTO t (a, b) VALUES (?, ?)", true},
              {"INSERT INTO t (a, b) VALUES (?, ?) RETURNING *", true},
              {"SELECT a, b, a || 'x' AS c FROM t ORDER BY b", false}};
  for (size_t i = 0; i < sizeof uses / sizeof *uses; i++)
    for (int how = 0; how < ALL_HOWS; how++)
      for (long n = 0; starve_use(path, uses[i].sql, uses[i].params, how, n);) n++;
}

/* starve [STEP]: every STEP-th allocation of opening, and each of the others. */
int main(int argc, char **argv) {
  const char *path = config(CONFIG);
  const long step = argc > 1 ? atol(argv[1]) : 97;
  setvbuf(stdout, NULL, _IONBF, 0); /* stdio's own buffers are not counted */
  starve_open(path, -1);
  for (width = 2; width <= FOREVER; width += FOREVER - 2) {
    for (long n = 0; starve_open(path, n);) n += n < 300 ? 1 : step;
    starve_uses(path);
  }
  return finish();
}
