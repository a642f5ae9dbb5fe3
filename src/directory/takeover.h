/* Takes the keys of one table of an existing database into the directory.
 *
 * Reads the keys in pages, each page in a read transaction of its own so that
 * the file's other users are not locked out; digests them; sorts the page by
 * digest, because the directory's tree is written several times faster in its
 * own order; and writes it in short transactions. A key that is at home where
 * it lies needs no entry. A key that is already elsewhere is a conflict: the
 * first stands, nothing is overwritten. Memory is bounded by the page. */
#ifndef CDB_DIRECTORY_TAKEOVER_H
#define CDB_DIRECTORY_TAKEOVER_H

#include "core/placement.h"
#include "directory/directory.h"

typedef struct {
  int64_t records;   /* keys read, without repetitions that follow one another */
  int64_t created;   /* entries written (or that would be, in a dry run) */
  int64_t at_home;   /* keys that need no entry */
  int64_t known;     /* keys whose entry was already there */
  int64_t conflicts; /* keys that live elsewhere too */
  int64_t unusable;  /* NULL, empty, too long, or not of the column's type */
} cdb__takeover_counts;

/* A shard that may have the key too, and how to look it up there: what lies
 * behind a node of the hash family's placement, or another one to ask. */
typedef struct {
  int64_t shard_id;
  cdb__shard *shard; /* NULL: nothing there can clash */
  const char *probe; /* SQL with the key as ?1; a row means it is there */
  bool reading;      /* the takeover's own: it began a transaction there */
} cdb__takeover_place;

typedef struct {
  cdb__shard *source;
  const char *first_page; /* SELECT key … ORDER BY key LIMIT ?1 */
  const char *next_page;  /* the same, WHERE key > ?2 */
  cdb__keyspace space;    /* of the table's keys */
  bool integer, fold;     /* the key column is INTEGER; is NOCASE */
  const char *secret;
  size_t secret_size;
  cdb__shard *directory;
  int64_t shard_id, epoch;
  const cdb__node *nodes;     /* the placement; none: every key gets an entry */
  cdb__takeover_place *homes; /* one for each node */
  size_t home_count;
  cdb__takeover_place *others; /* asked for every key: shards whose rows come before ours */
  size_t other_count;
  bool dry_run;
  size_t page; /* keys a page; 0 is the default, about half a million */
} cdb__takeover_plan;

typedef struct cdb__takeover cdb__takeover;

/* Called for each conflict, with the other shard's id. Must not fail. */
typedef void (*cdb__takeover_conflict)(void *context, const char *key, size_t size, int64_t other_shard);

/* What the plan points to must outlive the takeover. NULL: no memory. */
cdb__takeover *cdb__takeover_new(const cdb__takeover_plan *plan, cdb__takeover_conflict on_conflict,
                                 void *context);

/* One page. 1: more may follow, 0: done, < 0: a code; written pages stay written. */
int cdb__takeover_step(cdb__takeover *takeover, cdb__fault *fault);
const cdb__takeover_counts *cdb__takeover_get_counts(const cdb__takeover *takeover);
void cdb__takeover_free(cdb__takeover *takeover);

#endif
