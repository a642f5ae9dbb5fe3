#include "shard/copy.h"

#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

static int take(cdb__shard *shard, const char *sql, cdb__stmt **out, cdb__fault *fault) {
  const size_t size = strlen(sql);
  return cdb__stmt_take(shard, sql, size, cdb__sql_hash(sql, size), out, fault);
}

static void give(cdb__stmt *stmt) {
  cdb__fault ignored;
  if (!stmt) return;
  cdb__reset(stmt, &ignored);
  cdb__stmt_give(stmt);
}

/* Each value counts with its type and size, so that ("a", "b") differs from ("ab", ""). */
static void add_value(cdb__hash *digest, const cdb_value *value) {
  const bool bytes = value->type == CDB_TEXT || value->type == CDB_BLOB;
  const void *data = bytes ? value->data : value->type == CDB_INTEGER ? (const void *)&value->i : &value->d;
  const size_t size = bytes ? value->size : value->type == CDB_NULL ? 0 : sizeof value->i;
  const uint64_t head[] = {digest->low, digest->high, (uint64_t)value->type, size};
  const XXH64_hash_t seed = XXH3_64bits(head, sizeof head);
  const XXH128_hash_t hash = XXH3_128bits_withSeed(size ? data : "", size, seed);
  *digest = (cdb__hash){hash.low64, hash.high64};
}

static int write_row(cdb__stmt *writer, cdb__fault *fault) {
  cdb__fault ignored;
  const int code = cdb__step(writer, fault);
  const int ended = cdb__reset(writer, code < 0 ? &ignored : fault);
  return code < 0 ? code : ended;
}

static int copy_row(cdb__stmt *reader, cdb__stmt *writer, cdb__copied *out, cdb__fault *fault) {
  int code = CDB_OK;
  for (int i = 0; i < reader->columns && code == CDB_OK; i++) {
    cdb_value value;
    reader->shard->ops->value(reader, i, &value);
    add_value(&out->digest, &value);
    if (writer) code = writer->shard->ops->bind(writer, i + 1, &value, fault);
  }
  if (code == CDB_OK && writer) code = write_row(writer, fault);
  if (code == CDB_OK) out->rows++;
  return code;
}

int cdb__copy_rows(cdb__shard *from, const char *read, cdb__shard *to, const char *write, cdb__copied *out,
                   cdb__fault *fault) {
  cdb__stmt *reader = NULL, *writer = NULL;
  int code = take(from, read, &reader, fault);
  if (code == CDB_OK && to) code = take(to, write, &writer, fault);
  while (code == CDB_OK) {
    code = cdb__step(reader, fault);
    if (code != CDB__ROW) break;
    code = copy_row(reader, writer, out, fault);
  }
  give(writer);
  give(reader);
  return code < 0 ? code : CDB_OK;
}
