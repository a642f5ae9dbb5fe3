#define XXH_INLINE_ALL /* the header's inline form: a hash of a short key is some ten instructions */
#include "core/key.h"

#include <nettle/hmac.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <xxhash.h>

cdb__keyspace cdb__keyspace_make(const char *name, size_t size, uint64_t process_seed) {
  return (cdb__keyspace){name, size, XXH3_64bits_withSeed(name, size, process_seed), XXH3_64bits(name, size)};
}

void cdb__key_text(cdb__key *key, const cdb__keyspace *space, const char *text, size_t size) {
  key->space = space;
  key->text = text;
  key->size = size;
}

void cdb__key_fold(cdb__key *key, char folded[CDB__KEY_MAX]) {
  for (size_t i = 0; i < key->size; i++) {
    const char c = key->text[i];
    folded[i] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
  }
  key->text = folded;
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
  struct sha256_ctx state;
  sha256_init(&state);
  sha256_update(&state, size, data);
  sha256_digest(&state, SHA256_DIGEST_SIZE, out);
}

void cdb__hmac_sha256(const void *secret, size_t secret_size, const void *data, size_t size,
                      uint8_t out[32]) {
  struct hmac_sha256_ctx state;
  hmac_sha256_set_key(&state, secret_size, secret);
  hmac_sha256_update(&state, size, data);
  hmac_sha256_digest(&state, SHA256_DIGEST_SIZE, out);
}

void cdb__key_digest(const cdb__key *key, const char *secret, size_t secret_size,
                     uint8_t out[CDB__DIGEST_SIZE]) {
  uint8_t length[8];
  for (unsigned i = 0; i < 8; i++) length[i] = (uint8_t)((uint64_t)key->space->size >> (8 * i));
  struct hmac_sha256_ctx hmac;
  struct sha256_ctx *state = &hmac.state;
  if (secret_size) hmac_sha256_set_key(&hmac, secret_size, (const uint8_t *)secret);
  else sha256_init(state);
  sha256_update(state, sizeof length, length);
  sha256_update(state, key->space->size, (const uint8_t *)key->space->name);
  sha256_update(state, key->size, (const uint8_t *)key->text);
  if (secret_size) hmac_sha256_digest(&hmac, CDB__DIGEST_SIZE, out);
  else sha256_digest(state, CDB__DIGEST_SIZE, out);
}

uint64_t cdb__random_seed(void) {
  uint64_t seed;
  if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) == (ssize_t)sizeof seed) return seed;
  struct timespec now; /* very early in boot: a guessable seed is better than none */
  clock_gettime(CLOCK_REALTIME, &now);
  return XXH3_64bits(&now, sizeof now);
}
