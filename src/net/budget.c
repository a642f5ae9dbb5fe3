/* The ring of the last requests' times, shared between processes. */
#include "net/budget.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { LONGEST_BLOCK_MS = 10 * 60 * 1000 }; /* a longer one is taken for a mistake */

/* All bytes 0 is a ring that nobody has used. */
typedef struct {
  _Atomic uint64_t next; /* counts the requests; modulo the limit it is the slot of the oldest */
  _Atomic int64_t blocked_until;
  _Atomic int64_t times[]; /* ms of the clock that counts from the boot; 0 is none */
} ring;

struct cdb__budget {
  ring *ring;
  size_t size;
  uint64_t limit;
  int64_t window;
  bool shared;
  char file[128];
};

/* The file is another program's, or no plain file: it is not touched. */
static bool is_ours(int file) {
  struct stat info;
  return fstat(file, &info) == 0 && S_ISREG(info.st_mode) && info.st_uid == geteuid() &&
         (info.st_mode & 077) == 0;
}

static ring *map_file(const char *path, size_t size) {
  const int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0) return NULL;
  void *memory = MAP_FAILED;
  if (is_ours(file) && ftruncate(file, (off_t)size) == 0)
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  return memory == MAP_FAILED ? NULL : memory;
}

int cdb__budget_open(cdb__budget **out, const char *name, int limit, int64_t window_ms, cdb__fault *fault) {
  cdb__budget *budget = calloc(1, sizeof *budget);
  if (!budget) return cdb__fail(fault, CDB_NOMEM, "no memory for a rate budget");
  budget->limit = (uint64_t)limit;
  budget->window = window_ms;
  budget->size = sizeof(ring) + sizeof(int64_t) * (size_t)limit;
  snprintf(budget->file, sizeof budget->file, "/dev/shm/collegedb-rate-%u-%016llx-%d-%lld",
           (unsigned)geteuid(), (unsigned long long)XXH3_64bits(name, strlen(name)), limit,
           (long long)window_ms);
  budget->ring = map_file(budget->file, budget->size);
  budget->shared = budget->ring != NULL;
  if (!budget->ring) budget->ring = calloc(1, budget->size);
  if (!budget->ring) {
    free(budget);
    return cdb__fail(fault, CDB_NOMEM, "no memory for a rate budget");
  }
  *out = budget;
  return CDB_OK;
}

void cdb__budget_close(cdb__budget *budget) {
  if (!budget) return;
  if (budget->shared) munmap(budget->ring, budget->size);
  else free(budget->ring);
  free(budget);
}

const char *cdb__budget_file(const cdb__budget *budget) { return budget->shared ? budget->file : NULL; }

int64_t cdb__budget_take(cdb__budget *budget, int64_t now) {
  ring *r = budget->ring;
  const int64_t blocked = atomic_load(&r->blocked_until) - now;
  if (blocked > 0 && blocked <= LONGEST_BLOCK_MS) return blocked;
  for (;;) {
    uint64_t next = atomic_load(&r->next);
    const int64_t oldest = atomic_load(&r->times[next % budget->limit]);
    const int64_t wait = oldest + budget->window - now;
    const bool full = oldest && oldest <= now && wait > 0;
    /* Another program that took this slot meanwhile has written its own time there. */
    if (full && atomic_load(&r->next) == next) return wait;
    if (full || !atomic_compare_exchange_weak(&r->next, &next, next + 1)) continue;
    atomic_store(&r->times[next % budget->limit], now);
    return 0;
  }
}

void cdb__budget_block(cdb__budget *budget, int64_t now, int64_t pause_ms) {
  const int64_t until = now + (pause_ms > LONGEST_BLOCK_MS ? LONGEST_BLOCK_MS : pause_ms);
  int64_t before = atomic_load(&budget->ring->blocked_until);
  while (before < until && !atomic_compare_exchange_weak(&budget->ring->blocked_until, &before, until)) {
  }
}
