/* The floor of integration: a loop in C that reads the same keys in the same
 * pages, digests them in the same way, sorts each page and inserts it in
 * transactions of the same size into a directory table of the same shape. It
 * counts nothing, compares nothing, and knows no conflicts, epochs or
 * placements. */
#include <lauxlib.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>

#include "floor.h"

enum { DIGEST = 16, PAGE = 1 << 19, COMMIT_EVERY = 1 << 15 };

typedef struct {
  sqlite3_stmt *first, *next, *insert;
  uint8_t (*digests)[DIGEST];
  size_t count;
  char last[512];
  int last_size;
  int64_t total;
} loop;

static void digest(const void *text, size_t size, uint8_t out[DIGEST]) {
  static const uint8_t no_keyspace[8] = {0};
  struct sha256_ctx state;
  sha256_init(&state);
  sha256_update(&state, sizeof no_keyspace, no_keyspace);
  sha256_update(&state, size, text);
  sha256_digest(&state, DIGEST, out);
}

static int by_digest(const void *a, const void *b) { return memcmp(a, b, DIGEST); }

/* True while the page was full. */
static int read_page(loop *l) {
  sqlite3_stmt *stmt = l->total ? l->next : l->first;
  l->count = 0;
  sqlite3_bind_int64(stmt, 1, PAGE);
  if (l->total) sqlite3_bind_text(stmt, 2, l->last, l->last_size, SQLITE_STATIC);
  while (sqlite3_step(stmt) == SQLITE_ROW) {
    const void *text = sqlite3_column_text(stmt, 0);
    const int size = sqlite3_column_bytes(stmt, 0);
    digest(text, (size_t)size, l->digests[l->count++]);
    if (l->count == PAGE) {
      memcpy(l->last, text, (size_t)size);
      l->last_size = size;
    }
  }
  sqlite3_reset(stmt);
  l->total += (int64_t)l->count;
  return l->count == PAGE;
}

/* One transaction. */
static int insert_some(loop *l, sqlite3 *directory, size_t from, size_t to) {
  if (sqlite3_exec(directory, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK) return 0;
  for (size_t i = from; i < to; i++) {
    sqlite3_bind_blob(l->insert, 1, l->digests[i], DIGEST, SQLITE_STATIC);
    sqlite3_step(l->insert);
    if (sqlite3_reset(l->insert) != SQLITE_OK) return 0;
  }
  return sqlite3_exec(directory, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
}

static int write_page(loop *l, sqlite3 *directory) {
  int done = 1;
  qsort(l->digests, l->count, DIGEST, by_digest);
  for (size_t from = 0; from < l->count && done; from += COMMIT_EVERY)
    done = insert_some(l, directory, from, l->count - from < COMMIT_EVERY ? l->count : from + COMMIT_EVERY);
  return done;
}

static int run(loop *l, sqlite3 *directory, int64_t shard) {
  int more, done = 1;
  sqlite3_bind_int64(l->insert, 2, shard);
  do {
    more = read_page(l);
    done = write_page(l, directory);
  } while (more && done);
  return done;
}

/* floor.integrate(source, directory, table, column, shard): the number of keys. */
int bench_integrate(lua_State *L) {
  static const char insert[] = "INSERT INTO _collegedb_entries (digest, shard, version) VALUES (?1, ?2, 0)";
  sqlite3 *source = bench_connection(L, 1), *directory = bench_connection(L, 2);
  const char *table = luaL_checkstring(L, 3), *column = luaL_checkstring(L, 4);
  const char *first = lua_pushfstring(L, "SELECT %s FROM %s WHERE %s IS NOT NULL ORDER BY %s LIMIT ?1",
                                      column, table, column, column);
  const char *next = lua_pushfstring(L, "SELECT %s FROM %s WHERE %s > ?2 ORDER BY %s LIMIT ?1", column, table,
                                     column, column);
  const int64_t shard = luaL_checkinteger(L, 5);
  loop l = {.digests = malloc(sizeof *l.digests * PAGE)};
  int done = l.digests != NULL && sqlite3_prepare_v2(source, first, -1, &l.first, NULL) == SQLITE_OK &&
             sqlite3_prepare_v2(source, next, -1, &l.next, NULL) == SQLITE_OK &&
             sqlite3_prepare_v2(directory, insert, -1, &l.insert, NULL) == SQLITE_OK &&
             run(&l, directory, shard);
  sqlite3_finalize(l.first);
  sqlite3_finalize(l.next);
  sqlite3_finalize(l.insert);
  free(l.digests);
  if (!done) return luaL_error(L, "the floor: %s; %s", sqlite3_errmsg(source), sqlite3_errmsg(directory));
  lua_pushinteger(L, l.total);
  return 1;
}
