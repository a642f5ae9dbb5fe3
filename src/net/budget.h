/* How many requests an account may still be sent: at most `limit` in any
 * `window_ms`, for all programs of this user on this machine.
 *
 * The times of the last `limit` requests are a ring in a file in /dev/shm, which
 * goes with the boot that its times are of. Nobody locks it: a slot is taken
 * by compare-and-swap, so a program that dies holds nobody up. Where there is no
 * /dev/shm the ring is this process's alone. */
#ifndef CDB_NET_BUDGET_H
#define CDB_NET_BUDGET_H

#include <stdbool.h>

#include "core/error.h"

typedef struct cdb__budget cdb__budget;

int cdb__budget_open(cdb__budget **out, const char *name, int limit, int64_t window_ms, cdb__fault *fault);
void cdb__budget_close(cdb__budget *budget);

/* 0: a request may be sent now, and is counted. Else how many ms to wait before asking again. */
int64_t cdb__budget_take(cdb__budget *budget, int64_t now_ms);
/* The service says that nothing will be answered for so long. */
void cdb__budget_block(cdb__budget *budget, int64_t now_ms, int64_t pause_ms);

/* The file that it is shared by; NULL where it is this process's alone. */
const char *cdb__budget_file(const cdb__budget *budget);

#endif
