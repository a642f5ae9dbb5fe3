/* Finds jansson's functions at run time. */
#include "net/jansson.h"

#include <dlfcn.h>

int cdb__jansson_load(cdb__jansson *jansson, cdb__fault *fault) {
  void *library = dlopen("libjansson.so.4", RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return cdb__fail(
        fault, CDB_UNSUPPORTED,
        "reading JSON answers needs jansson, which is not on this machine (Debian: libjansson4): %s",
        dlerror());
#define FIND(name)                                            \
  *(void **)(&jansson->name) = dlsym(library, "json_" #name); \
  if (!jansson->name)                                         \
    return cdb__fail(fault, CDB_UNSUPPORTED, "the jansson on this machine is too old: it lacks json_" #name);
  CDB__JANSSON_FUNCTIONS(FIND)
#undef FIND
  return CDB_OK;
}
