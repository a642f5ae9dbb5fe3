/* Every write is kept with what it overwrote, until the file is synced. A cut takes the changes back, newest
 * first; those that survive by the seed are then made again, oldest first. Files are told by their paths, so
 * that the connections of a process share them. Shared memory of a WAL is volatile: a cut removes it. */
#include "unsynced.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct change {
  struct change *older, *newer;
  int truncate;
  int64_t offset, old_size;
  size_t size, old_bytes;
  unsigned char *data, *old;
} change;

struct unsynced_file {
  unsynced_file *next;
  char *path;
  change *newest, *oldest;
  int journal_made;     /* created, and its folder not synced since */
  unsigned char *ghost; /* its content, where it was deleted and the folder not synced since */
  size_t ghost_size;
};

static unsynced_file *file_of(unsynced *all, const char *path) {
  for (unsynced_file *file = all->files; file; file = file->next)
    if (strcmp(file->path, path) == 0) return file;
  unsynced_file *file = calloc(1, sizeof *file);
  if (file) file->path = strdup(path);
  if (!file || !file->path) abort();
  file->next = all->files;
  return all->files = file;
}

static void drop_changes(unsynced_file *file) {
  while (file->newest) {
    change *each = file->newest;
    file->newest = each->older;
    free(each->data);
    free(each->old);
    free(each);
  }
  file->oldest = NULL;
}

static void drop_ghost(unsynced_file *file) {
  free(file->ghost);
  file->ghost = NULL;
}

static unsigned char *copy_of(const void *data, size_t size) {
  unsigned char *copy = malloc(size ? size : 1);
  if (!copy) abort();
  if (size) memcpy(copy, data, size);
  return copy;
}

/* Notes a change with the old content from `offset` on, `amount` bytes or to the end. */
static int note(unsynced_file *file, sqlite3_file *real, change *made, int64_t amount) {
  sqlite3_int64 size = 0;
  const int code = real->pMethods->xFileSize(real, &size);
  if (code != SQLITE_OK) return code;
  made->old_size = size;
  int64_t old = size > made->offset ? size - made->offset : 0;
  if (amount < old) old = amount;
  made->old_bytes = (size_t)old;
  made->old = malloc(made->old_bytes + 1);
  if (!made->old) abort();
  made->older = file->newest;
  if (file->newest) file->newest->newer = made;
  else file->oldest = made;
  file->newest = made;
  return old ? real->pMethods->xRead(real, made->old, (int)old, made->offset) : SQLITE_OK;
}

int unsynced_write(unsynced *all, const char *path, sqlite3_file *real, const void *data, int amount,
                   sqlite3_int64 offset) {
  change *made = calloc(1, sizeof *made);
  if (!made) abort();
  made->offset = offset;
  made->size = (size_t)amount;
  made->data = copy_of(data, made->size);
  return note(file_of(all, path), real, made, amount);
}

int unsynced_truncate(unsynced *all, const char *path, sqlite3_file *real, sqlite3_int64 size) {
  change *made = calloc(1, sizeof *made);
  if (!made) abort();
  made->truncate = 1;
  made->offset = size;
  return note(file_of(all, path), real, made, INT64_MAX);
}

static void sync_folder_of(unsynced *all, const char *path) {
  const char *slash = strrchr(path, '/');
  const size_t size = slash ? (size_t)(slash - path) + 1 : 0;
  for (unsynced_file *file = all->files; file; file = file->next) {
    if (strncmp(file->path, path, size) != 0 || strchr(file->path + size, '/')) continue;
    file->journal_made = 0;
    drop_ghost(file);
  }
}

static unsigned char *content_of(const char *path, size_t *size) {
  const int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return NULL;
  const off_t end = lseek(descriptor, 0, SEEK_END);
  unsigned char *data = malloc((size_t)end + 1);
  const int whole = data && pread(descriptor, data, (size_t)end, 0) == end;
  close(descriptor);
  if (!whole) abort();
  *size = (size_t)end;
  return data;
}

/* Journals only: nothing locks them, so that opening and closing them here drops no lock of SQLite's. */
int unsynced_delete(unsynced *all, const char *path, int folder_synced) {
  unsynced_file *file = file_of(all, path);
  drop_changes(file);
  drop_ghost(file);
  if (folder_synced) sync_folder_of(all, path);
  else if (!file->journal_made) file->ghost = content_of(path, &file->ghost_size);
  return SQLITE_OK;
}

void unsynced_create(unsynced *all, const char *path) {
  unsynced_file *file = file_of(all, path);
  drop_ghost(file);
  file->journal_made = 1;
}

void unsynced_sync(unsynced *all, const char *path) {
  unsynced_file *file = file_of(all, path);
  drop_changes(file);
  if (file->journal_made) sync_folder_of(all, path);
}

/* --- the cut ------------------------------------------------------------------------- */

static int survives(uint64_t *seed) {
  if (!*seed) return 0;
  *seed ^= *seed << 13;
  *seed ^= *seed >> 7;
  *seed ^= *seed << 17;
  return (*seed >> 33) & 1;
}

static void put(int descriptor, const unsigned char *data, size_t size, int64_t offset) {
  if (size && pwrite(descriptor, data, size, offset) != (ssize_t)size) abort();
}

static void cut_file(unsynced_file *file, uint64_t *seed) {
  if (!file->newest) return;
  const int descriptor = open(file->path, O_RDWR | O_CLOEXEC);
  if (descriptor < 0) return;
  for (change *each = file->newest; each; each = each->older) {
    put(descriptor, each->old, each->old_bytes, each->offset);
    if (ftruncate(descriptor, each->old_size) != 0) abort();
  }
  for (change *each = file->oldest; each; each = each->newer) {
    if (!survives(seed)) continue;
    if (!each->truncate) put(descriptor, each->data, each->size, each->offset);
    else if (ftruncate(descriptor, each->offset) != 0) abort();
  }
  close(descriptor);
}

static void bring_back(const unsynced_file *file) {
  const int descriptor = open(file->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor < 0) abort();
  put(descriptor, file->ghost, file->ghost_size, 0);
  close(descriptor);
}

static void remove_shared_memory(const char *path) {
  char name[4096];
  const size_t size = strlen(path);
  if (size + 5 > sizeof name) return;
  memcpy(name, path, size);
  memcpy(name + size, "-shm", 5);
  unlink(name);
}

void unsynced_cut(unsynced *all, uint64_t seed) {
  for (unsynced_file *file = all->files; file; file = file->next) {
    cut_file(file, &seed);
    if (file->ghost && !survives(&seed)) bring_back(file);
    remove_shared_memory(file->path);
  }
}

void unsynced_forget(unsynced *all) {
  while (all->files) {
    unsynced_file *file = all->files;
    all->files = file->next;
    drop_changes(file);
    drop_ghost(file);
    free(file->path);
    free(file);
  }
}
