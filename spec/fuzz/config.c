/* Any table as a config: it is taken, or refused by an error that says what is wrong: config.lua. */
#include "script.h"

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  script_open("config");
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  script_call(data, size);
  return 0;
}
