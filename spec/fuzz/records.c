/* What is read from a directory: entries, the record, settings, the journal: records.lua. */
#include "script.h"

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  script_open("records");
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  script_call(data, size);
  return 0;
}
