/* A lock file that tells whether other instances are there. It is a file of
 * its own because closing any descriptor of a database drops SQLite's locks. */
#ifndef CDB_CORE_FILELOCK_H
#define CDB_CORE_FILELOCK_H

#include <stdbool.h>

#include "core/error.h"

/* Opens or creates the file and takes its shared lock, waiting at most
 * wait_ms. *out is a descriptor for cdb__filelock_close. */
int cdb__filelock_open(int *out, const char *path, int wait_ms, cdb__fault *fault);

/* True when nobody else holds the lock: it is then ours alone until shared again. */
bool cdb__filelock_exclusive(int descriptor);
void cdb__filelock_shared(int descriptor);
void cdb__filelock_close(int descriptor);

#endif
