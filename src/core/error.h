/* How a failure travels inside the C core: a code, one sentence, and SQLite's
 * extended result code where there is one. Functions return 0 or the code. */
#ifndef CDB_CORE_ERROR_H
#define CDB_CORE_ERROR_H

#include "collegedb.h"

typedef struct {
  int code;
  int sqlite_code;
  int http_status;        /* 0: none */
  int64_t retry_after_ms; /* when a service lets it come again; 0: it did not say */
  char message[512];
} cdb__fault;

/* Fills `fault` and returns `code`, so that a caller writes `return cdb__fail(…)`. */
__attribute__((format(printf, 3, 4))) int cdb__fail(cdb__fault *fault, int code, const char *format, ...);

#endif
