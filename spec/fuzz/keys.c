/* Keys: each has one canonical form, and two that SQLite takes for different never have the same: keys.lua.
 */
#include "script.h"

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  script_open("keys");
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  script_call(data, size);
  return 0;
}
