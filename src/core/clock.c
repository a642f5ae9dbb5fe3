#include "core/clock.h"

#include <time.h>

static int64_t boot_ms(void *context) {
  (void)context;
  struct timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

cdb__clock cdb__clock_system(void) { return (cdb__clock){boot_ms, 0}; }

int64_t cdb__clock_ticks(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
