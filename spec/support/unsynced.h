/* What a power cut would take: the changes of each file since it was last synced, and files deleted without a
 * sync of their folder. A test's; see faultvfs.c. */
#ifndef SPEC_SUPPORT_UNSYNCED_H
#define SPEC_SUPPORT_UNSYNCED_H

#include <sqlite3.h>
#include <stdint.h>

typedef struct unsynced_file unsynced_file;
typedef struct {
  unsynced_file *files;
} unsynced;

/* Each is called before the change is made, with the file as it is; an SQLite code comes back. */
int unsynced_write(unsynced *all, const char *path, sqlite3_file *real, const void *data, int amount,
                   sqlite3_int64 offset);
int unsynced_truncate(unsynced *all, const char *path, sqlite3_file *real, sqlite3_int64 size);
int unsynced_delete(unsynced *all, const char *path, int folder_synced);
void unsynced_create(unsynced *all, const char *path);
/* A journal's first sync syncs its folder too. */
void unsynced_sync(unsynced *all, const char *path);

/* Puts the files back to what was synced. With a seed, each change survives by the toss of a coin, as writes
 * do that the disk had in its own memory; and so does each deletion. */
void unsynced_cut(unsynced *all, uint64_t seed);

void unsynced_forget(unsynced *all);

#endif
