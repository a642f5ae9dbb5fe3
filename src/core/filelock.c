#include "core/filelock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

int cdb__filelock_open(int *out, const char *path, int wait_ms, cdb__fault *fault) {
  const int descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor < 0)
    return cdb__fail(fault, CDB_UNAVAILABLE, "%s can not be opened: %s", path, strerror(errno));
  const struct timespec pause = {.tv_nsec = 2000000};
  for (int waited = 0; flock(descriptor, LOCK_SH | LOCK_NB) != 0; waited += 2) {
    if (waited >= wait_ms) {
      close(descriptor);
      return cdb__fail(fault, CDB_BUSY, "%s is locked: another program is changing the shards", path);
    }
    nanosleep(&pause, NULL);
  }
  *out = descriptor;
  return CDB_OK;
}

bool cdb__filelock_exclusive(int descriptor) { return flock(descriptor, LOCK_EX | LOCK_NB) == 0; }

void cdb__filelock_shared(int descriptor) { flock(descriptor, LOCK_SH); }

void cdb__filelock_close(int descriptor) { close(descriptor); }
