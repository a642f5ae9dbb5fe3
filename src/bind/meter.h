/* What is counted and timed of a router's shards.
 *
 * Every statement is counted. How long it took is measured of some only: as
 * many as come in 10 ms share one measurement, at most PERIOD_MAX, so
 * that a busy program does not pay for the clock and a quiet one has every
 * statement timed. A measurement counts for all that it stands for. */
#ifndef CDB_BIND_METER_H
#define CDB_BIND_METER_H

#include <stdbool.h>

#include "collegedb.h"
#include "core/histogram.h"

enum { CDB__METER_CODES = -CDB_INTERNAL + 1, CDB__METER_NAME = 128 };

/* Of one shard, since the router opened. Plain data: statistics.c writes it to files. */
typedef struct {
  char shard[CDB__METER_NAME];
  uint64_t statements[2]; /* writes, and reads (by stmt->readonly) */
  uint64_t slow, forwarded;
  uint64_t errors[CDB__METER_CODES]; /* by minus the code */
  cdb__histogram took[2];
} cdb__meter_counts;

typedef struct {
  cdb__meter_counts counts;
  uint64_t weight;  /* statements that the next measurement stands for */
  uint64_t period;  /* statements from one to the next, in the mean */
  int64_t timed_at; /* when the last one was taken, in ticks */
  uint64_t random;
} cdb__meter;

/* A statement that took long, until Lua tells of it. */
typedef struct {
  double seconds;
  int64_t at; /* Unix seconds */
  bool readonly, cut;
  char shard[CDB__METER_NAME];
  char sql[512];
} cdb__slow_statement;

enum { CDB__SLOW_QUEUE = 16 };

/* Of one router. */
typedef struct {
  int64_t opened;  /* Unix seconds */
  int64_t slow_ns; /* 0: no statement is slow */
  int log;         /* where slow ones are written, or -1 */
  int file;        /* where the counts are written for others, or -1 */
  char *path;      /* its name, or NULL */
  int64_t owner;   /* the process that made it: a forked one leaves it alone */
  int64_t written; /* when they were, in ticks */
  int64_t saved;   /* so many times more they may be at once */
  int shards_written;
  size_t queued, dropped;
  cdb__slow_statement queue[CDB__SLOW_QUEUE];
} cdb__watch;

#endif
