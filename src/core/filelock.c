#include "core/filelock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

/* A signal is no answer. */
static int lock(int descriptor, int operation) {
  int result;
  do result = flock(descriptor, operation);
  while (result != 0 && errno == EINTR);
  return result;
}

int cdb__filelock_open(int *out, const char *path, int wait_ms, cdb__fault *fault) {
  const int descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor < 0)
    return cdb__fail(fault, CDB_UNAVAILABLE, "%s can not be opened: %s", path, strerror(errno));
  const struct timespec pause = {.tv_nsec = 2000000};
  int waited = 0;
  while (lock(descriptor, LOCK_SH | LOCK_NB) != 0) {
    const int reason = errno;
    if (reason == EWOULDBLOCK && waited < wait_ms) {
      nanosleep(&pause, NULL);
      waited += 2;
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
