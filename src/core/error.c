/* Error codes as data, and the one function through which the core fails. */
#include "core/error.h"

#include <stdarg.h>
#include <stdio.h>

int cdb__fail(cdb__fault *fault, int code, const char *format, ...) {
  fault->code = code;
  fault->sqlite_code = 0;
  fault->http_status = 0;
  fault->retry_after_ms = 0;
  va_list args;
  va_start(args, format);
  vsnprintf(fault->message, sizeof fault->message, format, args);
  va_end(args);
  return code;
}

const char *cdb_code_name(int code) {
  switch (code) {
    case CDB_OK: return "OK";
#define CDB_CODE_NAME(name, value, retryable, text) \
  case CDB_##name: return #name;
      CDB_ERROR_CODES(CDB_CODE_NAME)
#undef CDB_CODE_NAME
    default: return "UNKNOWN";
  }
}
