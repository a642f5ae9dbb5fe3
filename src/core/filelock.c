#include "core/filelock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"

/* A signal is no answer. */
static int lock(int descriptor, int operation) {
  int result;
  do result = flock(descriptor, operation);
  while (result != 0 && errno == EINTR);
  return result;
}

/* Locking wants a file that can be written, also beside a database that only is to be read. */
static mode_t rights_of(const struct stat *database) { return (database->st_mode & 0666) | 0600; }

/* Whoever may open the lock file may keep others out: it is for those who may open the database, as the files
 * are that SQLite has beside it. It is empty: what is not, or has more names, is not ours to change. */
static void follow_rights(int descriptor, const struct stat *database) {
  struct stat info;
  const mode_t rights = rights_of(database);
  if (fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size != 0 || info.st_nlink != 1)
    return;
  int ignored = 0;
  if (geteuid() == 0 && (info.st_uid != database->st_uid || info.st_gid != database->st_gid))
    ignored = fchown(descriptor, database->st_uid, database->st_gid);
  if ((info.st_mode & 0777) != rights) ignored = fchmod(descriptor, rights);
  (void)ignored; /* another user's */
}

int cdb__filelock_open(int *out, const char *path, const char *database, int wait_ms, cdb__fault *fault) {
  struct stat of_database;
  const bool known = stat(database, &of_database) == 0;
  const mode_t rights = known ? rights_of(&of_database) : 0600;
  const int descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, rights);
  if (descriptor < 0)
    return cdb__fail(fault, CDB_UNAVAILABLE, "%s can not be opened: %s", path,
                     errno == ELOOP ? "it is a link, and would be another file" : strerror(errno));
  if (known) follow_rights(descriptor, &of_database);
  const struct timespec pause = {.tv_nsec = 2000000};
  const int64_t end = cdb__clock_ticks() + (int64_t)wait_ms * 1000000;
  while (lock(descriptor, LOCK_SH | LOCK_NB) != 0) {
    const int reason = errno;
    if (reason == EWOULDBLOCK && cdb__clock_ticks() < end) {
      nanosleep(&pause, NULL);
      continue;
    }
    close(descriptor);
    if (reason == EWOULDBLOCK)
      return cdb__fail(fault, CDB_BUSY, "%s is locked: another program is changing the shards", path);
    return cdb__fail(fault, CDB_UNAVAILABLE, "%s can not be locked: %s", path, strerror(reason));
  }
  *out = descriptor;
  return CDB_OK;
}

bool cdb__filelock_exclusive(int descriptor) { return lock(descriptor, LOCK_EX | LOCK_NB) == 0; }

void cdb__filelock_shared(int descriptor) { lock(descriptor, LOCK_SH); }

void cdb__filelock_close(int descriptor) { close(descriptor); }

/* Of the open file and not of the process, as flock's, which they do not meet: so two instances of one
 * process keep each other out too. */
static bool set_byte(int descriptor, int64_t number, short type) {
  struct flock byte = {.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)number, .l_len = 1};
  int result;
  do result = fcntl(descriptor, F_OFD_SETLK, &byte);
  while (result != 0 && errno == EINTR);
  return result == 0;
}

bool cdb__filelock_claim(int descriptor, int64_t number) { return set_byte(descriptor, number, F_WRLCK); }

bool cdb__filelock_share(int descriptor, int64_t number) { return set_byte(descriptor, number, F_RDLCK); }

void cdb__filelock_release(int descriptor, int64_t number) { set_byte(descriptor, number, F_UNLCK); }

/* By a descriptor of its own: to it every lock is somebody else's, also one that this process holds, or that
 * was there before a fork. */
bool cdb__filelock_look(cdb__filelock_seen *out, const char *path, int64_t number) {
  const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (descriptor < 0) return false;
  struct stat info;
  const bool known = fstat(descriptor, &info) == 0;
  if (known) {
    struct flock byte = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)number, .l_len = 1};
    int result;
    do result = fcntl(descriptor, F_OFD_GETLK, &byte);
    while (result != 0 && errno == EINTR);
    *out = (cdb__filelock_seen){.device = (uint64_t)info.st_dev,
                                .file = (uint64_t)info.st_ino,
                                .held = result != 0 || byte.l_type != F_UNLCK};
  }
  close(descriptor);
  return known;
}
