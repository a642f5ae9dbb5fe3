/* The statement cache that every kind of shard shares: a hash table by SQL
 * text, with a list from the newest to the oldest use; see shard.h. */
#define XXH_INLINE_ALL
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "shard/shard.h"

void cdb__shard_init(cdb__shard *shard, const cdb__shard_ops *ops) {
  memset(shard, 0, sizeof *shard);
  shard->ops = ops;
}

int cdb__stmt_init(cdb__stmt *stmt, cdb__shard *shard, const char *sql, size_t size, cdb__fault *fault) {
  memset(stmt, 0, sizeof *stmt);
  stmt->shard = shard;
  stmt->sql = malloc(size + 1);
  if (!stmt->sql) return cdb__fail(fault, CDB_NOMEM, "no memory for a statement of %zu bytes", size);
  memcpy(stmt->sql, sql, size);
  stmt->sql[size] = '\0';
  stmt->sql_size = size;
  return CDB_OK;
}

void cdb__stmt_fini(cdb__stmt *stmt) {
  const cdb__shard *shard = stmt->shard;
  if (stmt->host && shard->release_host) shard->release_host(shard->host_context, stmt->host);
  free(stmt->sql);
}

uint64_t cdb__sql_hash(const char *sql, size_t size) { return XXH3_64bits(sql, size); }

static cdb__stmt **bucket_of(cdb__shard *shard, uint64_t hash) {
  return &shard->buckets[hash % CDB__STATEMENT_BUCKETS];
}

static void unlist(cdb__stmt *stmt) {
  cdb__shard *shard = stmt->shard;
  *(stmt->newer ? &stmt->newer->older : &shard->newest) = stmt->older;
  *(stmt->older ? &stmt->older->newer : &shard->oldest) = stmt->newer;
}

static void list_as_newest(cdb__stmt *stmt) {
  cdb__shard *shard = stmt->shard;
  stmt->newer = NULL;
  stmt->older = shard->newest;
  *(shard->newest ? &shard->newest->newer : &shard->oldest) = stmt;
  shard->newest = stmt;
}

void cdb__stmt_touch(cdb__stmt *stmt) {
  unlist(stmt);
  list_as_newest(stmt);
}

int cdb__stmt_take(cdb__shard *shard, const char *sql, size_t size, uint64_t hash, cdb__stmt **out,
                   cdb__fault *fault) {
  cdb__stmt **bucket = bucket_of(shard, hash), *stmt = *bucket;
  while (stmt &&
         (stmt->taken || stmt->hash != hash || stmt->sql_size != size || memcmp(stmt->sql, sql, size) != 0))
    stmt = stmt->bucket_next;
  if (stmt) {
    shard->idle--;
    if (stmt != shard->newest) cdb__stmt_touch(stmt);
  } else {
    const int code = shard->ops->prepare(shard, sql, size, &stmt, fault);
    if (code != CDB_OK) return code;
    stmt->hash = hash;
    stmt->bucket_next = *bucket;
    *bucket = stmt;
    list_as_newest(stmt);
  }
  stmt->taken = true;
  *out = stmt;
  return CDB_OK;
}

void cdb__stmt_drop(cdb__stmt *stmt) {
  cdb__shard *shard = stmt->shard;
  cdb__stmt **link = bucket_of(shard, stmt->hash);
  while (*link != stmt) link = &(*link)->bucket_next;
  *link = stmt->bucket_next;
  unlist(stmt);
  shard->ops->finalize(stmt);
}

void cdb__stmt_drop_oldest(cdb__shard *shard) {
  cdb__stmt *stmt = shard->oldest;
  while (stmt->taken) stmt = stmt->newer;
  cdb__stmt_drop(stmt);
  shard->idle--;
}

void cdb__shard_forget_statements(cdb__shard *shard) {
  while (shard->idle) cdb__stmt_drop_oldest(shard);
}
