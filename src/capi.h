/* What the files of the C interface share: the router's struct, failing, and
 * calling into its Lua state. */
#ifndef CDB_CAPI_H
#define CDB_CAPI_H

#include <lua.h>

#include "collegedb.h"

/* Between calls the state's stack holds what cdb_open left: the module
 * collegedb, collegedb.core, the database. A protected function finds its
 * context first and copies of those behind it; its own values begin at FREE. */
enum { CAPI_CONTEXT = 1, CAPI_MODULE, CAPI_CORE, CAPI_DATABASE, CAPI_FREE };

struct cdb {
  lua_State *L;
  cdb_rows *rows; /* open ones */
};

/* Fill `err`, which may be NULL, with one line, and return `code`. The shard's
 * name is added unless the message has it; it may be NULL. */
int cdb__capi_report(cdb_error *err, int code, const char *message, const char *shard);
__attribute__((format(printf, 3, 4))) int cdb__capi_fail(cdb_error *err, int code, const char *format, ...);

/* Calls f(context, module, core, database), as far as these are there, so that
 * no Lua error escapes, and leaves its results on the stack. 0 or a code. */
int cdb__capi_protect(cdb *db, lua_CFunction f, void *context, int results, cdb_error *err);

/* Ends all rows of a router that is being closed; from then on they answer CDB_CLOSED. */
void cdb__capi_detach_rows(cdb *db);

#endif
