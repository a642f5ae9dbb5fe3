#define XXH_INLINE_ALL /* the header's inline form: a hash of a short key is some ten instructions */
#include "core/key.h"

#include <sha2.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <xxhash.h>

enum { SHA_BLOCK = 64, SHA_SIZE = 32 };

cdb__keyspace cdb__keyspace_make(const char *name, size_t size, uint64_t process_seed) {
  return (cdb__keyspace){name, size, XXH3_64bits_withSeed(name, size, process_seed), XXH3_64bits(name, size)};
}

void cdb__key_text(cdb__key *key, const cdb__keyspace *space, const char *text, size_t size) {
  key->space = space;
  key->text = text;
  key->size = size;
}

/* By hand because it stands on the hot path: snprintf costs more than the cache lookup. */
void cdb__key_integer(cdb__key *key, const cdb__keyspace *space, int64_t value) {
  char *end = key->digits + sizeof key->digits, *at = end;
  uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
  do {
    *--at = (char)('0' + rest % 10);
    rest /= 10;
  } while (rest);
  if (value < 0) *--at = '-';
  cdb__key_text(key, space, at, (size_t)(end - at));
}

bool cdb__decimal(const char *text, size_t size, int64_t *out) {
  const bool negative = size > 0 && text[0] == '-';
  size_t at = negative ? 1 : 0;
  if (at == size || size > 20) return false;
  if (text[at] == '0' && (size > at + 1 || negative)) return false;
  uint64_t value = 0;
  for (; at < size; at++) {
    const unsigned digit = (unsigned)text[at] - '0';
    if (digit > 9) return false;
    if (value > (UINT64_MAX - digit) / 10) return false;
    value = value * 10 + digit;
  }
  if (value > (uint64_t)INT64_MAX + (negative ? 1 : 0)) return false;
  *out = negative ? (int64_t)(0 - value) : (int64_t)value;
  return true;
}

cdb__hash cdb__key_cache_hash(const cdb__key *key) {
  const XXH128_hash_t hash = XXH3_128bits_withSeed(key->text, key->size, key->space->cache_seed);
  return (cdb__hash){hash.low64, hash.high64};
}

uint64_t cdb__key_place_hash(const cdb__key *key) {
  return XXH3_64bits_withSeed(key->text, key->size, key->space->place_seed);
}

void cdb__sha256(const void *data, size_t size, uint8_t out[32]) {
  SHA2_CTX state;
  SHA256Init(&state);
  SHA256Update(&state, data, size);
  SHA256Final(out, &state);
}

/* RFC 2104 over libmd's SHA-256. The message comes in up to three parts. */
static void hmac_begin(SHA2_CTX *state, uint8_t pad[SHA_BLOCK], const void *secret, size_t size) {
  memset(pad, 0, SHA_BLOCK);
  if (size > SHA_BLOCK) cdb__sha256(secret, size, pad);
  else if (size) memcpy(pad, secret, size);
  for (size_t i = 0; i < SHA_BLOCK; i++) pad[i] ^= 0x36;
  SHA256Init(state);
  SHA256Update(state, pad, SHA_BLOCK);
}

static void hmac_end(SHA2_CTX *state, uint8_t pad[SHA_BLOCK], uint8_t out[SHA_SIZE]) {
  SHA256Final(out, state);
  for (size_t i = 0; i < SHA_BLOCK; i++) pad[i] ^= 0x36 ^ 0x5c;
  SHA256Init(state);
  SHA256Update(state, pad, SHA_BLOCK);
  SHA256Update(state, out, SHA_SIZE);
  SHA256Final(out, state);
}

void cdb__hmac_sha256(const void *secret, size_t secret_size, const void *data, size_t size,
                      uint8_t out[32]) {
  SHA2_CTX state;
  uint8_t pad[SHA_BLOCK];
  hmac_begin(&state, pad, secret, secret_size);
  SHA256Update(&state, data, size);
  hmac_end(&state, pad, out);
}

void cdb__key_digest(const cdb__key *key, const char *secret, size_t secret_size,
                     uint8_t out[CDB__DIGEST_SIZE]) {
  SHA2_CTX state;
  uint8_t length[8], pad[SHA_BLOCK], whole[SHA_SIZE];
  for (unsigned i = 0; i < 8; i++) length[i] = (uint8_t)((uint64_t)key->space->size >> (8 * i));
  if (secret_size) hmac_begin(&state, pad, secret, secret_size);
  else SHA256Init(&state);
  SHA256Update(&state, length, sizeof length);
  SHA256Update(&state, (const uint8_t *)key->space->name, key->space->size);
  SHA256Update(&state, (const uint8_t *)key->text, key->size);
  if (secret_size) hmac_end(&state, pad, whole);
  else SHA256Final(whole, &state);
  memcpy(out, whole, CDB__DIGEST_SIZE);
}

uint64_t cdb__random_seed(void) {
  uint64_t seed;
  if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) == (ssize_t)sizeof seed) return seed;
  struct timespec now; /* very early in boot: a guessable seed is better than none */
  clock_gettime(CLOCK_REALTIME, &now);
  return XXH3_64bits(&now, sizeof now);
}
