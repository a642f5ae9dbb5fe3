/* libcurl, loaded when the first request is made: linked in, it would more than
 * double what the interpreter takes to start, and a machine without it can
 * still use SQLite shards. Only its types come from the header. */
#ifndef CDB_NET_CURL_H
#define CDB_NET_CURL_H

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#include "core/error.h"

#define CDB__CURL_FUNCTIONS(X) \
  X(global_init)               \
  X(version_info)              \
  X(free)                      \
  X(easy_init)                 \
  X(easy_cleanup)              \
  X(easy_reset)                \
  X(easy_setopt)               \
  X(easy_getinfo)              \
  X(easy_strerror)             \
  X(multi_init)                \
  X(multi_cleanup)             \
  X(multi_setopt)              \
  X(multi_add_handle)          \
  X(multi_remove_handle)       \
  X(multi_perform)             \
  X(multi_info_read)           \
  X(multi_poll)                \
  X(multi_strerror)            \
  X(slist_append)              \
  X(slist_free_all)            \
  X(url)                       \
  X(url_set)                   \
  X(url_get)                   \
  X(url_cleanup)

typedef struct {
#define CDB__CURL_POINTER(name) __typeof__(curl_##name) *name;
  CDB__CURL_FUNCTIONS(CDB__CURL_POINTER)
#undef CDB__CURL_POINTER
} cdb__curl;

/* CDB_UNSUPPORTED where there is no libcurl, or one older than 7.85. It stays loaded. */
int cdb__curl_load(cdb__curl *curl, cdb__fault *fault);

#endif
