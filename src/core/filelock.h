/* A lock file that tells whether other instances are there. It is a file of
 * its own because closing any descriptor of a database drops SQLite's locks. */
#ifndef CDB_CORE_FILELOCK_H
#define CDB_CORE_FILELOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"

/* Opens or creates the file, with the permissions of the database that it is for, and takes its shared lock,
 * waiting at most wait_ms. *out is a descriptor for cdb__filelock_close. */
int cdb__filelock_open(int *out, const char *path, const char *database, int wait_ms, cdb__fault *fault);

/* True when nobody else holds the lock: it is then ours alone until shared again. */
bool cdb__filelock_exclusive(int descriptor);
void cdb__filelock_shared(int descriptor);
void cdb__filelock_close(int descriptor);

/* A piece of work that only one of those who hold the file may do, by its
 * number: true when it is ours now. It ends with cdb__filelock_release, and with the process. */
bool cdb__filelock_claim(int descriptor, int64_t number);

/* Holds a number together with others; while anybody does, nobody can claim it. False while somebody has
 * claimed it. */
bool cdb__filelock_share(int descriptor, int64_t number);
void cdb__filelock_release(int descriptor, int64_t number);

/* What a look at a lock file tells. */
typedef struct {
  uint64_t device, file;
  bool held; /* somebody holds the number, be it this process or another; true also when that can not be told
              */
} cdb__filelock_seen;

/* Looks who holds a number, and takes nothing. False when there is no such file, or it can not be read. */
bool cdb__filelock_look(cdb__filelock_seen *out, const char *path, int64_t number);

#endif
