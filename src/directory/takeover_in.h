/* What takeover.c, which reads, and takeover_write.c share. */
#ifndef CDB_DIRECTORY_TAKEOVER_IN_H
#define CDB_DIRECTORY_TAKEOVER_IN_H

#include "directory/takeover.h"

typedef struct {
  uint8_t digest[CDB__DIGEST_SIZE];
  uint32_t offset;
  uint16_t size;
  bool at_home;
  bool elsewhere; /* a row of the key was seen on the shard `other` */
  int32_t other;  /* until then, the key's node */
} cdb__takeover_item;

/* A value with its bytes; CDB_NULL is none. */
typedef struct {
  cdb_value value;
  char *bytes;
  size_t capacity;
} cdb__owned_value;

/* What was committed last: all keys up to `last`, and of those up to `stop`, if
 * there is one, the digests up to `mark`: the batches of a page are in their order. */
typedef struct {
  cdb__owned_value last, stop;
  uint8_t mark[CDB__DIGEST_SIZE];
  bool ended;
} cdb__takeover_position;

typedef struct {
  uint32_t item;
  int64_t other;
} cdb__takeover_clash;

struct cdb__takeover {
  cdb__takeover_plan plan;
  cdb__takeover_counts counts;
  cdb__takeover_position at;
  int64_t epoch; /* in which `asked` of the places was true; -1: look again */
  bool placed;   /* `at` was read from the journal, or given */
  int64_t noted; /* records that the journal had then */
  size_t page;   /* smaller than the plan's while the epoch changes all the time */
  /* The page in memory: */
  bool loaded, bounded, page_ended;
  cdb__owned_value page_last;
  int64_t records, unusable; /* of it, until its first batch is committed */
  cdb__takeover_item *items;
  size_t count, next; /* items; the first that is not written yet */
  char *text;
  size_t text_size, text_capacity;
  cdb__takeover_clash *clashes; /* of the last step */
  size_t clash_count, clash_capacity;
  int64_t kept;
};

/* takeover_probe.c: which keys of the page are on other shards too. */
int cdb__takeover_look_around(cdb__takeover *t, cdb__fault *fault);
bool cdb__takeover_stopped(const cdb__takeover *t);
int cdb__takeover_fail_stopped(cdb__fault *fault);

int cdb__own_value(cdb__owned_value *to, const cdb_value *value, cdb__fault *fault);

/* Reads the epoch and who is integrated in it; CDB_MOVED when the plan is void. */
int cdb__takeover_look(cdb__takeover *t, cdb__fault *fault);
/* Reads where the journal says that this column was. */
int cdb__takeover_find_place(cdb__takeover *t, cdb__fault *fault);
/* Writes the next batch of the page; CDB__TAKEOVER_STALLED when the epoch has changed. */
int cdb__takeover_write(cdb__takeover *t, cdb__fault *fault);

#endif
