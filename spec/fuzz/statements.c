/* The scanner, and what D1 is sent, against SQLite itself: of each text that SQLite takes they must say the
 * same. */
#include <string.h>

#include "../support/verdict.h"
#include "fuzz.h"

static sqlite3 *db;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  db = verdict_open();
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char why[2000];
  char *text = malloc(size ? size : 1);
  if (size) memcpy(text, data, size);
  CHECK(verdict_agrees(db, text, size, why, sizeof why), "%s", why);
  CHECK(verdict_rewrites(db, text, size, why, sizeof why), "%s", why);
  free(text);
  return 0;
}
