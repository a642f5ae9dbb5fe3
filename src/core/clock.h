/* Time as the core sees it: milliseconds that never go back. Handed in, so
 * that tests of lives and deadlines need not sleep. */
#ifndef CDB_CORE_CLOCK_H
#define CDB_CORE_CLOCK_H

#include <stdint.h>

typedef struct {
  int64_t (*now_ms)(void *context);
  void *context;
} cdb__clock;

/* Counts through a suspended machine too (CLOCK_BOOTTIME): an entry that was
 * fresh before the lid was closed is not fresh the next morning. */
cdb__clock cdb__clock_system(void);

static inline int64_t cdb__clock_now(const cdb__clock *clock) { return clock->now_ms(clock->context); }

/* Nanoseconds for measuring how long something took; only differences mean anything. */
int64_t cdb__clock_ticks(void);

#endif
