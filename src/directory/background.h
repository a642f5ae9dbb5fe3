/* Integration in the background: takeovers that a plan made in Lua describes, run
 * on a thread of their own, over connections of their own, shard after shard.
 *
 * The thread touches nothing of Lua's: whoever starts it hands over a plan that
 * stays as it is until cdb__background_free. What the thread tells is atomic, but
 * for `fault`, which is whole once the state says FAILED. */
#ifndef CDB_DIRECTORY_BACKGROUND_H
#define CDB_DIRECTORY_BACKGROUND_H

#include "directory/takeover.h"

enum {
  CDB__PART_WAITING, /* its turn has not come, or another process integrates it */
  CDB__PART_RUNNING,
  CDB__PART_DONE,
  CDB__PART_STOPPED,
  CDB__PART_AGAIN, /* its plan is void: it must be made again */
  CDB__PART_FAILED
};

/* One key column: its plan, and where its parts come from. */
typedef struct {
  cdb__takeover_plan plan;
  int source;        /* number of a connection */
  const char *count; /* SELECT count(*) … */
} cdb__background_column;

/* One shard. */
typedef struct {
  cdb__takeover_plan base; /* shard, placement, generation and job; for a shard without columns too */
  int64_t claim;           /* its number in the lock file */
  bool elsewhere;          /* another process has the claim: wait until it is done, or gone */
  bool integrated;         /* what it counts as in the end */
  cdb__background_column *columns;
  size_t count;
  atomic_int state;
  atomic_llong done, total, conflicts; /* rows, rows, keys */
  atomic_llong started, ended;         /* ms of cdb__clock_ticks */
  atomic_llong first;                  /* `done` when it was started */
  cdb__fault fault;
} cdb__background_part;

typedef struct {
  const char *directory;
  const char **paths; /* of the connections */
  size_t path_count;
  int lock; /* descriptor of the lock file */
  cdb__background_part *parts;
  size_t part_count;
  atomic_int *attention; /* becomes `raised` where it was `quiet`, whenever a part has ended */
  int quiet, raised;
} cdb__background_plan;

typedef struct cdb__background cdb__background;

/* Starts the thread. The plan must outlive it. */
int cdb__background_start(cdb__background **out, cdb__background_plan *plan, cdb__fault *fault);
/* True while the thread works. */
bool cdb__background_runs(const cdb__background *background);
/* Asks the thread to stop, and waits until it has: a batch, at most. */
void cdb__background_stop(cdb__background *background);
/* Stops it too. */
void cdb__background_free(cdb__background *background);

#endif
