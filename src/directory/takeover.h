/* Takes the keys of one key column of an existing database into the directory.
 *
 * Reads the keys in pages, each page in a read transaction of its own so that
 * the file's other users are not locked out; digests them; sorts the page by
 * digest, because the directory's tree is written several times faster in its
 * own order; and writes it in short transactions, batches. A key that is at home
 * where it lies needs no entry. A key that is already elsewhere is a conflict:
 * the first stands, nothing is overwritten. Memory is bounded by the page.
 *
 * With a job, each batch's transaction also notes how far it has come, so that
 * whoever comes after a crash loses one batch at most (takeover_write.c). */
#ifndef CDB_DIRECTORY_TAKEOVER_H
#define CDB_DIRECTORY_TAKEOVER_H

#include <stdatomic.h>

#include "core/placement.h"
#include "directory/directory.h"

typedef struct {
  int64_t records;   /* rows whose keys were read */
  int64_t created;   /* entries written (or that would be, in a dry run) */
  int64_t at_home;   /* keys that need no entry */
  int64_t known;     /* keys whose entry was already there */
  int64_t conflicts; /* keys that live elsewhere too */
  int64_t unusable;  /* rows whose key is empty, too long, or not of the column's type */
} cdb__takeover_counts;

/* When a shard is asked whether it has the key too. Whether it is integrated
 * may change from page to page. */
enum {
  CDB__ASK_INTEGRATED, /* once it is integrated: until then the key is found here first */
  CDB__ASK_AWAITING,   /* while it is not: a dry run writes no entry that the next could meet */
  CDB__ASK_ALWAYS
};

/* A shard that may have the key too, and how to look it up there: what lies
 * behind a node of the hash family's placement, or another one to ask. */
typedef struct {
  int64_t shard_id;
  cdb__shard *shard; /* NULL: nothing there can clash */
  const char *probe; /* SQL with the key as ?1; a row means it is there */
  const char
      *probe_many; /* where it is far away: with a JSON array as ?1; gives the positions of those there */
  int slot;        /* of a background job: the connection that becomes `shard`, or -1 */
  int when;        /* CDB__ASK_… */
  bool asked;      /* in this epoch */
} cdb__takeover_place;

typedef struct {
  cdb__shard *source;
  /* SELECT key[, rows] … ORDER BY key LIMIT ?1: all, from behind ?2, up to ?3, and between both */
  const char *pages[4];
  cdb__keyspace space; /* of the column's keys */
  bool integer, fold;  /* the key column is INTEGER; is NOCASE */
  const char *secret;
  size_t secret_size;
  cdb__shard *directory;
  int64_t shard_id;
  int64_t placement, generation; /* with others, what was decided is void: CDB_MOVED */
  const cdb__node *nodes;        /* the placement; none: every key gets an entry */
  cdb__takeover_place *homes;    /* one for each node */
  size_t home_count;
  cdb__takeover_place *others; /* asked for every key: shards whose rows come before ours */
  size_t other_count;
  bool dry_run;
  size_t page;             /* keys a page; 0 is the default, about half a million */
  size_t batch;            /* keys a transaction; 0 is the default */
  int64_t job, item;       /* where in the journal; job 0: nowhere */
  int64_t keep;            /* conflicts that the journal keeps yet */
  const atomic_bool *stop; /* set by another thread: reading ends with CDB_CLOSED; or NULL */
} cdb__takeover_plan;

typedef struct cdb__takeover cdb__takeover;

/* What the plan points to must outlive the takeover. NULL: no memory. */
cdb__takeover *cdb__takeover_new(const cdb__takeover_plan *plan);

enum { CDB__TAKEOVER_DONE, CDB__TAKEOVER_MORE, CDB__TAKEOVER_STALLED, CDB__TAKEOVER_IDLE };

/* One batch: DONE, MORE, IDLE when all was done before, or STALLED when the epoch changed so that its keys
 * must be looked at anew; else a code, and the batch is not written. */
int cdb__takeover_step(cdb__takeover *takeover, cdb__fault *fault);
const cdb__takeover_counts *cdb__takeover_get_counts(const cdb__takeover *takeover);
/* How many of the records were taken before, as the journal said at the first step. */
int64_t cdb__takeover_noted(const cdb__takeover *takeover);

/* The conflicts of the last step: how many, and each one's key and other shard. */
size_t cdb__takeover_conflicts(const cdb__takeover *takeover);
int64_t cdb__takeover_conflict(const cdb__takeover *takeover, size_t index, const char **key, size_t *size);

void cdb__takeover_free(cdb__takeover *takeover);

/* Marks the plan's shard as integrated, which makes the next epoch, and the
 * journal's job as one that only wants its report; if the plan is still valid: else CDB_MOVED. */
int cdb__takeover_finish(const cdb__takeover_plan *plan, bool integrated, int64_t conflicts,
                         cdb__fault *fault);

#endif
