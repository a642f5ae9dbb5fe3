/* Files in which programs show their counts to others, and the log of slow
 * statements.
 *
 * Each program has a file of its own in a folder, FOLDER/PID-N. When a statement
 * was timed, its shard's counts are written, a hundred times a second at most. The
 * program holds a lock on the file for as long as it lives, so one that can be
 * locked is a dead program's, and is removed. A reader may meet half of a write: it
 * sees that by the checksums, and reads again. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "bind/statistics.h"

enum {
  SHARDS_MAX = 65536,
  READ_TRIES = 20,
  FILES_OF_ONE = 10000,
  WRITTEN_EVERY_NS = 10000000,
  SAVED_MAX = 16
};

static const char MAGIC[8] = "CDBSTAT1";

static uint64_t checksum_of_head(const cdb__statistics *head) {
  return XXH3_64bits(&head->shard_size, sizeof *head - offsetof(cdb__statistics, shard_size));
}

static uint64_t checksum_of_shard(const cdb__statistics_shard *shard) {
  return XXH3_64bits(&shard->counts, sizeof shard->counts);
}

/* --- writing ------------------------------------------------------------------ */

static void seal_head(cdb__statistics *head) {
  memcpy(head->magic, MAGIC, sizeof MAGIC);
  head->checksum = checksum_of_head(head);
}

/* What can not be written is left out: a full disk must not stop a statement. */
static void put(const cdb__watch *watch, const void *data, size_t size, size_t at) {
  const ssize_t ignored = pwrite(watch->file, data, size, (off_t)at);
  (void)ignored;
}

void cdb__statistics_write_all(cdb__lua_db *db) {
  if (db->watch.file < 0) return;
  cdb__statistics *head = cdb__statistics_take(db);
  if (!head) return;
  seal_head(head);
  for (int i = 0; i < db->shard_count; i++) head->shards[i].checksum = checksum_of_shard(&head->shards[i]);
  put(&db->watch, head, cdb__statistics_size((size_t)db->shard_count), 0);
  db->watch.shards_written = db->shard_count;
  free(head);
}

static int index_of(const cdb__lua_db *db, const cdb__lua_shard *shard) {
  int index = 0;
  while (index < db->shard_count && db->shards[index] != shard) index++;
  return index;
}

/* Writes are saved up while there are none, so that a short piece of work is shown whole. */
static bool may_write(cdb__watch *watch, int64_t now) {
  const int64_t saved = watch->saved + (now - watch->written) / WRITTEN_EVERY_NS;
  if (saved < 1) return false;
  watch->saved = saved > SAVED_MAX ? SAVED_MAX - 1 : saved - 1;
  watch->written = now;
  return true;
}

void cdb__lua_statistics_write(cdb__lua_db *db, const cdb__lua_shard *shard, int64_t now) {
  if (!may_write(&db->watch, now)) return;
  const int index = index_of(db, shard);
  if (index >= db->watch.shards_written) {
    cdb__statistics_write_all(db);
    return;
  }
  cdb__statistics head;
  cdb__statistics_shard one;
  cdb__statistics_take_head(db, &head);
  cdb__statistics_take_shard(shard, &one);
  head.shard_count = (uint64_t)db->watch.shards_written;
  one.checksum = checksum_of_shard(&one);
  seal_head(&head);
  put(&db->watch, &head, sizeof head, 0);
  put(&db->watch, &one, sizeof one, cdb__statistics_size((size_t)index));
}

static void hide(cdb__watch *watch) {
  if (watch->path && watch->owner == getpid()) unlink(watch->path);
  free(watch->path);
  if (watch->file >= 0) close(watch->file);
  watch->path = NULL;
  watch->file = -1;
}

void cdb__lua_statistics_end(cdb__lua_db *db) {
  hide(&db->watch);
  if (db->watch.log >= 0) close(db->watch.log);
  db->watch.log = -1;
}

/* Has nobody removed it? */
static bool is_named(int file) {
  struct stat info;
  return fstat(file, &info) == 0 && info.st_nlink > 0;
}

/* A file that nobody has, locked; -1 with errno. */
static int new_file(const char *folder, char *path, size_t size) {
  for (int n = 1; n <= FILES_OF_ONE; n++) {
    const int length = snprintf(path, size, "%s/%ld-%d", folder, (long)getpid(), n);
    if (length < 0 || (size_t)length >= size) return errno = ENAMETOOLONG, -1;
    const int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (file < 0 && errno == EEXIST) continue;
    if (file < 0) return -1;
    /* Between the two somebody may have taken it for a dead program's. */
    if (flock(file, LOCK_EX | LOCK_NB) == 0) {
      if (is_named(file)) return file;
    } else if (errno != EWOULDBLOCK) { /* the file system has no locks */
      const int reason = errno;
      unlink(path);
      close(file);
      return errno = reason, -1;
    }
    close(file);
  }
  return errno = EEXIST, -1;
}

/* core.write_statistics(db, folder): writes them there from now on; the folder is made if it is not there. */
static int write_statistics(lua_State *L) {
  cdb__lua_db *db = cdb__lua_check_db(L, 1);
  const char *folder = luaL_checkstring(L, 2);
  char path[PATH_MAX];
  if (mkdir(folder, 0777) != 0 && errno != EEXIST)
    return cdb__lua_fail(L, CDB_CONFIG, "statistics_dir: the folder %s can not be made: %s", folder,
                         strerror(errno));
  char *real = realpath(folder, NULL); /* the program may go elsewhere */
  const int file = new_file(real ? real : folder, path, sizeof path);
  const int reason = errno;
  free(real);
  if (file < 0)
    return cdb__lua_fail(L, CDB_CONFIG, "statistics_dir: no file can be made in %s: %s", folder,
                         strerror(reason));
  db->watch.file = file;
  db->watch.path = strdup(path);
  db->watch.owner = getpid();
  db->watch.written = cdb__clock_ticks();
  db->watch.saved = SAVED_MAX;
  cdb__statistics_write_all(db);
  return 0;
}

/* core.show_statistics(db): writes them now, for those who look. */
static int show_statistics(lua_State *L) {
  cdb__lua_db *db = cdb__lua_check_db(L, 1);
  cdb__statistics_write_all(db);
  return 0;
}

/* core.write_slow_queries(db, path): appends a line for each. */
static int write_slow_queries(lua_State *L) {
  cdb__lua_db *db = cdb__lua_check_db(L, 1);
  const char *path = luaL_checkstring(L, 2);
  /* O_NONBLOCK: a pipe that nobody reads is refused, and not waited for. */
  const int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
  if (log < 0)
    return cdb__lua_fail(L, CDB_CONFIG, "slow_query_log: %s can not be written: %s", path, strerror(errno));
  db->watch.log = log;
  return 0;
}

/* --- reading ------------------------------------------------------------------ */

static bool is_right(const cdb__statistics *head, size_t size) {
  if (memcmp(head->magic, MAGIC, sizeof MAGIC) != 0 || head->checksum != checksum_of_head(head)) return false;
  if (head->shard_size != sizeof(cdb__statistics_shard) || head->shard_count > SHARDS_MAX) return false;
  if (cdb__statistics_size((size_t)head->shard_count) > size) return false;
  for (size_t i = 0; i < head->shard_count; i++)
    if (head->shards[i].checksum != checksum_of_shard(&head->shards[i])) return false;
  return true;
}

/* Whole, and of this layout: a block that the caller frees; else NULL. */
static cdb__statistics *read_whole(int file, size_t *size) {
  struct stat info;
  if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode)) return NULL;
  *size = (size_t)info.st_size;
  if (*size < sizeof(cdb__statistics) || *size > cdb__statistics_size(SHARDS_MAX)) return NULL;
  cdb__statistics *head = malloc(*size);
  if (!head) return NULL;
  const bool whole = pread(file, head, *size, 0) == (ssize_t)*size && is_right(head, *size);
  if (whole) return head;
  free(head);
  return NULL;
}

static cdb__statistics *read_patiently(int file, size_t *size) {
  for (int i = 0; i < READ_TRIES; i++) {
    cdb__statistics *head = read_whole(file, size);
    if (head) return head;
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
  }
  return NULL;
}

/* Is it named as new_file names them? Nothing else in the folder is touched. */
static bool is_ours(const char *name) {
  size_t digits = strspn(name, "0123456789");
  if (digits == 0 || name[digits] != '-') return false;
  name += digits + 1;
  digits = strspn(name, "0123456789");
  return digits > 0 && name[digits] == '\0';
}

static bool is_same(const struct stat *info, int other) {
  struct stat of_other;
  return fstat(other, &of_other) == 0 && info->st_ino == of_other.st_ino && info->st_dev == of_other.st_dev;
}

/* What a live program wrote; a dead one's file is removed, and `own` left out. */
static cdb__statistics *read_entry(int folder, const char *name, int own, size_t *size) {
  const int file = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (file < 0) return NULL;
  cdb__statistics *head = NULL;
  struct stat info;
  const bool others = fstat(file, &info) == 0 && S_ISREG(info.st_mode) && !is_same(&info, own);
  const bool dead = others && flock(file, LOCK_SH | LOCK_NB) == 0;
  /* Alone with it, so that the name is not one's who came in between. */
  if (dead && flock(file, LOCK_EX | LOCK_NB) == 0 && is_named(file)) unlinkat(folder, name, 0);
  if (others && !dead) head = read_patiently(file, size);
  close(file);
  return head;
}

/* The next name of ours in the folder, or NULL. */
static const char *next_name(DIR *folder) {
  const struct dirent *entry;
  while ((entry = readdir(folder)))
    if (is_ours(entry->d_name)) return entry->d_name;
  return NULL;
}

static int close_folder(lua_State *L) {
  DIR **folder = lua_touserdata(L, 1);
  if (*folder) closedir(*folder);
  *folder = NULL;
  return 0;
}

/* core.read_statistics(folder[, db]): an array, of each program that lives as core.statistics, but for the
 * database's own. */
static int read_statistics(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  const int own = lua_isnoneornil(L, 2) ? -1 : cdb__lua_check_db(L, 2)->watch.file;
  DIR **folder = lua_newuserdatauv(L, sizeof(DIR *), 0);
  *folder = NULL;
  if (luaL_newmetatable(L, "collegedb.folder")) {
    lua_pushcfunction(L, close_folder);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  lua_newtable(L);
  *folder = opendir(path);
  const char *name;
  for (lua_Integer n = 1; *folder && (name = next_name(*folder));) {
    size_t size = 0;
    cdb__statistics *head = read_entry(dirfd(*folder), name, own, &size);
    if (!head) continue;
    cdb__statistics_push(L, head, size);
    lua_rawseti(L, -2, n++);
  }
  if (*folder) closedir(*folder);
  *folder = NULL;
  return 1;
}

void cdb__lua_open_statistics_files(lua_State *L) {
  static const luaL_Reg functions[] = {{"write_statistics", write_statistics},
                                       {"show_statistics", show_statistics},
                                       {"read_statistics", read_statistics},
                                       {"write_slow_queries", write_slow_queries},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
