#include "directory/background.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "core/filelock.h"
#include "shard/sqlite.h"

enum {
  BUSY_TIMEOUT = 250, /* ms: then it looks whether it is to stop, and tries again */
  FIRST_PAUSE = 2,
  LONGEST_PAUSE = 200,
  INTERRUPT_EVERY = 20000000, /* ns */
  POLL = 50                   /* ms between looks whether another process is done, or lets go of a file */
};

struct cdb__background {
  cdb__background_plan *plan;
  cdb__shard *directory;
  cdb__shard **shards; /* of plan->paths; NULL until needed */
  atomic_bool stop, running;
  bool joined;
  pthread_mutex_t mutex;
  pthread_cond_t stopped;
  pthread_t thread;
};

static long long now_ms(void) { return cdb__clock_ticks() / 1000000; }

/* Ends early when the thread is to stop. */
static void pause_for(cdb__background *b, int64_t ns) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  ns += until.tv_nsec;
  until.tv_sec += (time_t)(ns / 1000000000);
  until.tv_nsec = (long)(ns % 1000000000);
  pthread_mutex_lock(&b->mutex);
  while (!atomic_load(&b->stop) && pthread_cond_timedwait(&b->stopped, &b->mutex, &until) != ETIMEDOUT) {
  }
  pthread_mutex_unlock(&b->mutex);
}

static void set_state(cdb__background *b, cdb__background_part *part, int state) {
  if (state > CDB__PART_RUNNING) atomic_store(&part->ended, now_ms());
  atomic_store(&part->state, state);
  if (state <= CDB__PART_RUNNING) return;
  int quiet = b->plan->quiet;
  atomic_compare_exchange_strong(b->plan->attention, &quiet, b->plan->raised);
}

static int state_of(int code) {
  return code == CDB_OK       ? CDB__PART_DONE
         : code == CDB_CLOSED ? CDB__PART_STOPPED
         : code == CDB_MOVED  ? CDB__PART_AGAIN
                              : CDB__PART_FAILED;
}

static int stopped(cdb__fault *fault) { return cdb__fail(fault, CDB_CLOSED, "integration was stopped"); }

/* --- connections ----------------------------------------------------------------- */

/* A file that others hold is waited for, as everywhere later. */
static int open_file(cdb__background *b, cdb__shard **out, const char *path,
                     const cdb__sqlite_options *options, cdb__fault *fault) {
  for (;;) {
    const int code = cdb__sqlite_open(out, path, options, fault);
    if (code != CDB_BUSY) return code;
    pause_for(b, POLL * 1000000);
    if (atomic_load(&b->stop)) return stopped(fault);
  }
}

static int open_shard(cdb__background *b, int slot, cdb__shard **out, cdb__fault *fault) {
  *out = NULL;
  if (slot < 0) return CDB_OK;
  const cdb__sqlite_options options = {.busy_timeout_ms = BUSY_TIMEOUT, .must_exist = true};
  int code = CDB_OK;
  cdb__shard *shard = b->shards[slot];
  if (!shard) code = open_file(b, &shard, b->plan->paths[slot], &options, fault);
  if (code != CDB_OK) return code;
  pthread_mutex_lock(&b->mutex);
  b->shards[slot] = shard;
  pthread_mutex_unlock(&b->mutex);
  *out = shard;
  return CDB_OK;
}

static int open_places(cdb__background *b, cdb__takeover_place *places, size_t count, cdb__fault *fault) {
  int code = CDB_OK;
  for (size_t i = 0; i < count && code == CDB_OK; i++)
    code = open_shard(b, places[i].slot, &places[i].shard, fault);
  return code;
}

static int open_column(cdb__background *b, cdb__background_column *column, cdb__fault *fault) {
  cdb__takeover_plan *plan = &column->plan;
  plan->directory = b->directory;
  plan->stop = &b->stop;
  int code = open_shard(b, column->source, &plan->source, fault);
  if (code == CDB_OK) code = open_places(b, plan->homes, plan->home_count, fault);
  if (code == CDB_OK) code = open_places(b, plan->others, plan->other_count, fault);
  return code;
}

static void close_all(cdb__background *b) {
  for (size_t i = 0; i < b->plan->path_count; i++) {
    pthread_mutex_lock(&b->mutex);
    cdb__shard *shard = b->shards[i];
    b->shards[i] = NULL;
    pthread_mutex_unlock(&b->mutex);
    if (shard) shard->ops->close(shard);
  }
  if (b->directory) b->directory->ops->close(b->directory);
}

/* --- work --------------------------------------------------------------------------- */

/* How far a part is: rows of the columns before, of this one as they were counted, and conflicts before. */
typedef struct {
  int64_t before, counted, conflicts;
} progress;

/* Others write meanwhile: where there are more rows than were counted, the total grows before `done` does. */
static void tell(cdb__background_part *part, const cdb__takeover *takeover, progress *p) {
  const cdb__takeover_counts *counts = cdb__takeover_get_counts(takeover);
  const int64_t noted = cdb__takeover_noted(takeover);
  if (counts->records > p->counted) {
    atomic_fetch_add(&part->total, counts->records - p->counted);
    p->counted = counts->records;
  }
  if (noted) atomic_store(&part->first, p->before + noted);
  atomic_store(&part->done, p->before + counts->records);
  atomic_store(&part->conflicts, p->conflicts + counts->conflicts);
}

/* Until the column is done. Between batches others may write: as long as the batch has taken. */
static int take_column(cdb__background *b, cdb__background_part *part, cdb__takeover *takeover, progress *p,
                       cdb__fault *fault) {
  int64_t pause = FIRST_PAUSE;
  for (;;) {
    const int64_t start = cdb__clock_ticks();
    const int code = cdb__takeover_step(takeover, fault);
    if (code < 0 && code != CDB_BUSY) return code;
    tell(part, takeover, p);
    if (code == CDB__TAKEOVER_DONE || code == CDB__TAKEOVER_IDLE) return CDB_OK;
    if (code == CDB__TAKEOVER_MORE) {
      pause = FIRST_PAUSE;
      pause_for(b, cdb__clock_ticks() - start);
    } else {
      pause_for(b, pause * 1000000);
      pause = pause * 2 < LONGEST_PAUSE ? pause * 2 : LONGEST_PAUSE;
    }
    if (atomic_load(&b->stop)) return stopped(fault);
  }
}

static int count_rows(const cdb__background_column *column, int64_t *rows, cdb__fault *fault) {
  int64_t columns[CDB__COLUMNS] = {0};
  const int found = cdb__directory_run(column->plan.source, column->count, NULL, 0, columns, fault);
  *rows = columns[0];
  return found < 0 && found != CDB_BUSY ? found : CDB_OK;
}

static int open_part(cdb__background *b, cdb__background_part *part, int64_t *rows) {
  int code = CDB_OK;
  for (size_t i = 0; i < part->count && code == CDB_OK; i++) {
    code = open_column(b, &part->columns[i], &part->fault);
    if (code == CDB_OK) code = count_rows(&part->columns[i], &rows[i], &part->fault);
    if (code == CDB_OK) atomic_fetch_add(&part->total, rows[i]);
  }
  return code;
}

static int take_columns(cdb__background *b, cdb__background_part *part, const int64_t *rows) {
  progress p = {0};
  for (size_t i = 0; i < part->count; i++) {
    cdb__takeover *takeover = cdb__takeover_new(&part->columns[i].plan);
    if (!takeover) return cdb__fail(&part->fault, CDB_NOMEM, "no memory for a page of keys");
    p.counted = rows[i];
    const int code = take_column(b, part, takeover, &p, &part->fault);
    p.conflicts += cdb__takeover_get_counts(takeover)->conflicts;
    cdb__takeover_free(takeover);
    if (code != CDB_OK) return code;
    p.before += p.counted;
    atomic_store(&part->done, p.before);
  }
  return CDB_OK;
}

static int finish(cdb__background *b, cdb__background_part *part) {
  part->base.directory = b->directory;
  for (;;) {
    const int code =
        cdb__takeover_finish(&part->base, part->integrated, atomic_load(&part->conflicts), &part->fault);
    if (code != CDB_BUSY) return code;
    pause_for(b, FIRST_PAUSE * 1000000);
    if (atomic_load(&b->stop)) return stopped(&part->fault);
  }
}

static int integrate(cdb__background *b, cdb__background_part *part) {
  int64_t *rows = calloc(part->count + 1, sizeof *rows);
  if (!rows) return cdb__fail(&part->fault, CDB_NOMEM, "no memory for an integration");
  atomic_store(&part->started, now_ms());
  set_state(b, part, CDB__PART_RUNNING);
  int code = open_part(b, part, rows);
  if (code == CDB_OK) code = take_columns(b, part, rows);
  if (code == CDB_OK) code = finish(b, part);
  free(rows);
  return code;
}

/* Another process is at it. It is done, or it ends before that, and then a new plan goes on where it was. */
static int wait_for_other(cdb__background *b, cdb__background_part *part) {
  static const char SQL[] = "SELECT integrated FROM _collegedb_shards WHERE id = ?1";
  const cdb_value id[] = {{.type = CDB_INTEGER, .i = part->base.shard_id}};
  for (;;) {
    int64_t columns[CDB__COLUMNS] = {0};
    const bool gone = cdb__filelock_claim(b->plan->lock, part->claim);
    const int found = cdb__directory_run(b->directory, SQL, id, 1, columns, &part->fault);
    if (gone) cdb__filelock_release(b->plan->lock, part->claim);
    if (found < 0 && found != CDB_BUSY) return found;
    if (found == 1 && columns[0] == 1) return CDB_OK;
    if (gone) return CDB_MOVED;
    pause_for(b, POLL * 1000000);
    if (atomic_load(&b->stop)) return CDB_CLOSED;
  }
}

static int open_directory(cdb__background *b, cdb__fault *fault) {
  const cdb__sqlite_options options = {
      .busy_timeout_ms = BUSY_TIMEOUT, .must_exist = true, .synchronous = "FULL"};
  return open_file(b, &b->directory, b->plan->directory, &options, fault);
}

/* Those that another process is at come last. */
static void work(cdb__background *b, bool elsewhere) {
  for (size_t i = 0; i < b->plan->part_count; i++) {
    cdb__background_part *part = &b->plan->parts[i];
    if (part->elsewhere != elsewhere) continue;
    int code = b->directory ? CDB_OK : open_directory(b, &part->fault);
    if (code == CDB_OK && atomic_load(&b->stop)) code = CDB_CLOSED;
    if (code == CDB_OK) code = elsewhere ? wait_for_other(b, part) : integrate(b, part);
    if (code < 0 && atomic_load(&b->stop)) code = CDB_CLOSED; /* its statement was interrupted */
    set_state(b, part, state_of(code));
  }
}

static void *run(void *context) {
  cdb__background *b = context;
  work(b, false);
  work(b, true);
  close_all(b);
  atomic_store(&b->running, false);
  return NULL;
}

/* --- starting and ending it ---------------------------------------------------------- */

/* Signals are the program's: they go to its own threads. */
static int start_thread(cdb__background *b) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int result = pthread_create(&b->thread, NULL, run, b);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return result;
}

static void release(cdb__background *b) {
  pthread_cond_destroy(&b->stopped);
  pthread_mutex_destroy(&b->mutex);
  free(b->shards);
  free(b);
}

int cdb__background_start(cdb__background **out, cdb__background_plan *plan, cdb__fault *fault) {
  cdb__background *b = calloc(1, sizeof *b);
  cdb__shard **shards = calloc(plan->path_count + 1, sizeof *shards);
  if (!b || !shards) {
    free(b);
    free(shards);
    return cdb__fail(fault, CDB_NOMEM, "no memory for an integration in the background");
  }
  b->plan = plan;
  b->shards = shards;
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_mutex_init(&b->mutex, NULL);
  pthread_cond_init(&b->stopped, &attributes);
  pthread_condattr_destroy(&attributes);
  atomic_store(&b->running, true);
  const int result = start_thread(b);
  if (result != 0) {
    release(b);
    return cdb__fail(fault, CDB_UNAVAILABLE, "no thread for an integration in the background: %s",
                     strerror(result));
  }
  *out = b;
  return CDB_OK;
}

bool cdb__background_runs(const cdb__background *b) { return atomic_load(&b->running); }

/* A table without an index may be sorted for long before it gives a row. What is
 * written is not interrupted: that ends soon. */
static void interrupt_all(cdb__background *b) {
  pthread_mutex_lock(&b->mutex);
  for (size_t i = 0; i < b->plan->path_count; i++)
    if (b->shards[i]) cdb__sqlite_interrupt(b->shards[i]);
  pthread_mutex_unlock(&b->mutex);
}

void cdb__background_stop(cdb__background *b) {
  if (b->joined) return;
  pthread_mutex_lock(&b->mutex);
  atomic_store(&b->stop, true);
  pthread_cond_broadcast(&b->stopped);
  pthread_mutex_unlock(&b->mutex);
  struct timespec until;
  do {
    interrupt_all(b);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += INTERRUPT_EVERY;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
  } while (pthread_timedjoin_np(b->thread, NULL, &until) == ETIMEDOUT);
  b->joined = true;
}

void cdb__background_free(cdb__background *b) {
  if (!b) return;
  cdb__background_stop(b);
  release(b);
}
