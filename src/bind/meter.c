/* Measuring statements, and noting those that took long. See meter.h. */
#include "bind/meter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bind/bind.h"

enum { SPACING_NS = 10000000, PERIOD_MAX = 64 };

void cdb__lua_meter_reset(cdb__lua_shard *shard) {
  cdb__meter_counts *counts = &shard->meter->counts;
  memset(counts, 0, sizeof *counts);
  snprintf(counts->shard, sizeof counts->shard, "%s", shard->name);
  shard->statements[0] = shard->statements[1] = 0;
}

bool cdb__lua_meter_begin(cdb__lua_shard *shard) {
  cdb__meter *meter = calloc(1, sizeof *meter);
  if (!meter) return false;
  meter->weight = meter->period = 1;
  meter->random = cdb__random_seed() | 1;
  shard->meter = meter;
  shard->until_timed = 1;
  cdb__lua_meter_reset(shard);
  return true;
}

void cdb__lua_meter_end(cdb__lua_shard *shard) {
  free(shard->meter);
  shard->meter = NULL;
  shard->until_timed = INT64_MAX;
}

/* Marsaglia's xorshift: only so that a program's own rhythm does not meet that of the measurements. */
static uint64_t random_below(cdb__meter *meter, uint64_t bound) {
  uint64_t x = meter->random;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  meter->random = x;
  return x % bound;
}

static void plan_next(cdb__lua_shard *shard, cdb__meter *meter, int64_t now) {
  const uint64_t elapsed = now > meter->timed_at ? (uint64_t)(now - meter->timed_at) : 1;
  /* Slowly: what comes after the last measurement of a short piece of work is not shown to others. */
  const uint64_t longer = meter->period + meter->period / 8 + 1;
  const uint64_t limit = longer < PERIOD_MAX ? longer : PERIOD_MAX;
  uint64_t period = meter->weight * SPACING_NS / elapsed;
  if (period > limit) period = limit;
  if (period < 1 || (shard->db && shard->db->watch.slow_ns)) period = 1;
  meter->timed_at = now;
  meter->period = period;
  meter->weight = 1 + (period > 1 ? random_below(meter, period * 2 - 1) : 0);
  shard->until_timed = (int64_t)meter->weight;
}

/* One line, by one call: programs that share the file do not mix theirs. */
static void write_log(const cdb__watch *watch, const cdb__slow_statement *slow) {
  char line[1024], when[32];
  const time_t at = (time_t)slow->at;
  struct tm utc;
  if (watch->log < 0 || !gmtime_r(&at, &utc)) return;
  strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
  int size = snprintf(line, sizeof line, "%s %.6f s %s %s%s", when, slow->seconds, slow->shard, slow->sql,
                      slow->cut ? " …" : "");
  if (size < 0) return;
  if ((size_t)size > sizeof line - 2) size = (int)sizeof line - 2;
  for (int i = 0; i < size; i++)
    if ((unsigned char)line[i] < ' ') line[i] = ' ';
  line[size] = '\n';
  const ssize_t ignored =
      write(watch->log, line, (size_t)size + 1); /* a full disk must not stop a statement */
  (void)ignored;
}

/* Leaves no half of a character at the end. */
static void end_at_character(char *text) {
  size_t size = strlen(text);
  while (size > 0 && ((unsigned char)text[size - 1] & 0xc0) == 0x80) size--;
  if (size > 0 && (unsigned char)text[size - 1] >= 0xc0) size--;
  text[size] = '\0';
}

/* Lua tells of it with the next call: it can not be called in the middle of one. */
static void note_slow(cdb__lua_db *db, const cdb__lua_shard *shard, const cdb__stmt *stmt, int64_t ns) {
  cdb__watch *watch = &db->watch;
  cdb__slow_statement slow = {.seconds = (double)ns / 1e9, .at = time(NULL), .readonly = stmt->readonly};
  snprintf(slow.shard, sizeof slow.shard, "%s", shard->name);
  slow.cut = stmt->sql_size >= sizeof slow.sql;
  snprintf(slow.sql, sizeof slow.sql, "%s", stmt->sql);
  if (slow.cut) end_at_character(slow.sql);
  shard->meter->counts.slow++;
  write_log(watch, &slow);
  if (watch->queued == CDB__SLOW_QUEUE) {
    watch->dropped++;
    return;
  }
  watch->queue[watch->queued++] = slow;
  int quiet = CDB__DB_OPEN;
  atomic_compare_exchange_strong(&db->open, &quiet, CDB__DB_ATTENTION);
}

void cdb__lua_meter_time(cdb__lua_shard *shard, cdb__stmt *stmt) {
  const int64_t now = cdb__clock_ticks();
  stmt->started = now;
  stmt->stands_for = shard->meter->weight;
  plan_next(shard, shard->meter, now);
}

void cdb__lua_meter_pass(cdb__lua_shard *shard, cdb__stmt *stmt, const cdb__lua_call *call) {
  if (call->inner || !shard->meter) return;
  if (stmt->started) {
    shard->meter->weight = stmt->stands_for;
    shard->until_timed = 1;
  } else {
    shard->until_timed++;
  }
  stmt->started = 0;
}

void cdb__lua_meter_record(cdb__lua_shard *shard, cdb__stmt *stmt) {
  cdb__meter *meter = shard->meter;
  const int64_t started = stmt->started, now = cdb__clock_ticks();
  stmt->started = 0;
  if (!meter) return;
  const int64_t ns = now > started ? now - started : 0;
  cdb__histogram_add(&meter->counts.took[stmt->readonly], (uint64_t)ns, stmt->stands_for);
  cdb__lua_db *db = shard->db;
  if (db && db->watch.slow_ns && ns >= db->watch.slow_ns) note_slow(db, shard, stmt, ns);
  if (db && db->watch.file >= 0) cdb__lua_statistics_write(db, shard, now);
}

void cdb__lua_meter_error(const cdb__lua_shard *shard, int code) {
  if (shard->meter && code < 0 && code > -CDB__METER_CODES) shard->meter->counts.errors[-code]++;
}
