#include "shard/copy.h"

#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

/* Each value counts with its type and size, so that ("a", "b") differs from ("ab", ""). */
void cdb__digest_value(cdb__hash *digest, const cdb_value *value) {
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

static int copy_row(cdb__stmt *reader, cdb__stmt *writer, int64_t first, cdb__copied *out,
                    cdb__fault *fault) {
  int code = CDB_OK;
  cdb_value value;
  for (int i = 0; i < reader->columns && code == CDB_OK; i++) {
    reader->shard->ops->value(reader, i, &value);
    if (value.type == CDB__LOST) return cdb__fail(fault, CDB_NOMEM, "no memory for a value");
    cdb__digest_value(&out->digest, &value);
    if (value.type == CDB_TEXT || value.type == CDB_BLOB) out->bytes += (int64_t)value.size;
    if (writer) code = writer->shard->ops->bind(writer, i + 1, &value, fault);
  }
  value = (cdb_value){.type = CDB_INTEGER, .i = first + out->rows};
  if (code == CDB_OK && writer && writer->parameters > reader->columns)
    code = writer->shard->ops->bind(writer, reader->columns + 1, &value, fault);
  if (code == CDB_OK && writer) code = write_row(writer, fault);
  if (code == CDB_OK) out->rows++;
  return code;
}

int cdb__copy_rows(cdb__stmt *reader, cdb__stmt *writer, int64_t first, const cdb__copied *limits,
                   cdb__copied *out, bool *more, cdb__fault *fault) {
  int code = CDB_OK;
  *out = (cdb__copied){0};
  *more = true;
  while (code == CDB_OK && out->rows < limits->rows && out->bytes < limits->bytes) {
    code = cdb__step(reader, fault);
    *more = code == CDB__ROW;
    if (!*more) break;
    code = copy_row(reader, writer, first, out, fault);
  }
  return code < 0 ? code : CDB_OK;
}
