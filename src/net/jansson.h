/* jansson, loaded when the first answer is read, as libcurl is (curl.h). */
#ifndef CDB_NET_JANSSON_H
#define CDB_NET_JANSSON_H

#include <jansson.h>

#include "core/error.h"

#define CDB__JANSSON_FUNCTIONS(X) \
  X(loadb)                        \
  X(delete)                       \
  X(object_get)                   \
  X(object_iter)                  \
  X(object_iter_next)             \
  X(object_iter_key)              \
  X(object_iter_value)            \
  X(object_size)                  \
  X(array_size)                   \
  X(array_get)                    \
  X(string_value)                 \
  X(string_length)                \
  X(integer_value)                \
  X(real_value)

typedef struct {
#define CDB__JANSSON_POINTER(name) __typeof__(json_##name) *name;
  CDB__JANSSON_FUNCTIONS(CDB__JANSSON_POINTER)
#undef CDB__JANSSON_POINTER
} cdb__jansson;

/* CDB_UNSUPPORTED where there is none. It stays loaded. */
int cdb__jansson_load(cdb__jansson *jansson, cdb__fault *fault);

#endif
