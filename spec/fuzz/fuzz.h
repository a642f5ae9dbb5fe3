/* What the fuzz targets share. A target is one file with LLVMFuzzerTestOneInput; what must hold of any input
 * is a CHECK, and ends the process with a message if it does not. */
#ifndef SPEC_FUZZ_H
#define SPEC_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define CHECK(holds, ...)                                                       \
  do {                                                                          \
    if (!(holds)) {                                                             \
      fprintf(stderr, "%s:%d: %s does not hold: ", __FILE__, __LINE__, #holds); \
      fprintf(stderr, __VA_ARGS__);                                             \
      fprintf(stderr, "\n");                                                    \
      abort();                                                                  \
    }                                                                           \
  } while (0)

#endif
