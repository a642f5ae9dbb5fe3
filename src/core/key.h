/* A key: what decides the shard. It is a keyspace and a canonical text (an
 * integer's decimal digits), and it is hashed for three purposes:
 *
 *   cache      XXH3-128 with a random seed of this process: fast, and nobody
 *              outside can choose keys that collide
 *   placement  XXH3-64 with fixed seeds: every process agrees
 *   digest     SHA-256, or HMAC-SHA-256 with a secret, cut to 16 bytes: what
 *              the directory stores, so that it holds no key in clear
 */
#ifndef CDB_CORE_KEY_H
#define CDB_CORE_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CDB__DIGEST_SIZE = 16, CDB__KEY_MAX = 512 };

typedef struct {
  uint64_t low, high;
} cdb__hash;

/* A keyspace's name with the seeds made of it once; the name is not owned. */
typedef struct {
  const char *name;
  size_t size;
  uint64_t cache_seed;
  uint64_t place_seed;
} cdb__keyspace;

typedef struct {
  const cdb__keyspace *space;
  const char *text; /* canonical, not NUL-terminated; may point to `digits` */
  size_t size;
  char digits[24];
} cdb__key;

cdb__keyspace cdb__keyspace_make(const char *name, size_t size, uint64_t process_seed);

/* The key refers to `text`, which must outlive it. */
void cdb__key_text(cdb__key *key, const cdb__keyspace *space, const char *text, size_t size);
/* Makes ASCII letters small, as NOCASE compares them; the key then points to `folded`. Its size is at most
 * CDB__KEY_MAX. */
void cdb__key_fold(cdb__key *key, char folded[CDB__KEY_MAX]);
void cdb__key_integer(cdb__key *key, const cdb__keyspace *space, int64_t value);

/* Reads canonical decimal digits ("17", "-3"; not "+1", "01", "-0", "1.0"). */
bool cdb__decimal(const char *text, size_t size, int64_t *out);

cdb__hash cdb__key_cache_hash(const cdb__key *key);
uint64_t cdb__key_place_hash(const cdb__key *key);

/* Without a secret: SHA-256(length of keyspace as 8 little-endian bytes, keyspace, text). */
void cdb__key_digest(const cdb__key *key, const char *secret, size_t secret_size,
                     uint8_t out[CDB__DIGEST_SIZE]);

/* SHA-256 of plain bytes, whole: the TypeScript library's form of a key. */
void cdb__sha256(const void *data, size_t size, uint8_t out[32]);
void cdb__hmac_sha256(const void *secret, size_t secret_size, const void *data, size_t size, uint8_t out[32]);

/* A seed that nobody outside this process knows. */
uint64_t cdb__random_seed(void);

#endif
