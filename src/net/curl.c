/* Finds libcurl's functions at run time. */
#include "net/curl.h"

#include <dlfcn.h>

enum { OLDEST = 0x075500 }; /* 7.85: protocols by name, and a callback before a request is sent */

static void *open_library(void) {
  static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4", "libcurl.4.dylib"};
  void *library = NULL;
  for (size_t i = 0; !library && i < sizeof names / sizeof *names; i++)
    library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
  return library;
}

/* Returns the name of a function that is missing, or NULL. */
static const char *find_functions(void *library, cdb__curl *curl) {
#define FIND(name)                                         \
  *(void **)(&curl->name) = dlsym(library, "curl_" #name); \
  if (!curl->name) return "curl_" #name;
  CDB__CURL_FUNCTIONS(FIND)
#undef FIND
  return NULL;
}

int cdb__curl_load(cdb__curl *curl, cdb__fault *fault) {
  void *library = open_library();
  if (!library)
    return cdb__fail(fault, CDB_UNSUPPORTED,
                     "HTTP needs libcurl 7.85 or newer, which is not on this machine (Debian: libcurl4): %s",
                     dlerror());
  const char *missing = find_functions(library, curl);
  if (!missing && curl->version_info(CURLVERSION_NOW)->version_num < OLDEST) missing = "(it is older)";
  if (missing)
    return cdb__fail(fault, CDB_UNSUPPORTED,
                     "HTTP needs libcurl 7.85 or newer; the one on this machine lacks %s", missing);
  if (curl->global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
    return cdb__fail(fault, CDB_UNAVAILABLE, "libcurl could not be set up");
  return CDB_OK;
}
