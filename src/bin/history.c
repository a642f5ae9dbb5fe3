/* A plain text file, one line each, that every session appends to as lines are
 * typed: nothing is lost when one is killed, and sessions at the same time do not
 * overwrite each other. It may hold what nobody else should read: its mode is 0600. */
#include "bin/history.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file this long is shortened to its second half when it is opened. */
static const off_t size_limit = 1024 * 1024;

/* The last `size` bytes of the file, from the start of a line; the caller frees it. */
static char *read_end(int descriptor, off_t length, off_t size) {
  off_t start = length > size ? length - size : 0;
  char *text = (char *)malloc((size_t)(length - start) + 1);
  if (text == NULL) return NULL;
  ssize_t count = pread(descriptor, text, (size_t)(length - start), start);
  text[count > 0 ? count : 0] = '\0';
  char *line = start > 0 ? strchr(text, '\n') : NULL;
  if (line != NULL) memmove(text, line + 1, strlen(line + 1) + 1);
  return text;
}

/* In place and not as a new file: the name may be a link that the user set up. */
static void shorten(int descriptor, const char *text) {
  size_t length = strlen(text);
  if (ftruncate(descriptor, 0) == 0 && write(descriptor, text, length) < 0) return;
}

static void hand_out(char *text, void (*add)(void *, const char *), void *context) {
  char *start = text + strlen(text);
  for (int lines = 0; start > text; start--) {
    if (start[-1] == '\n' && lines++ == CDB__HISTORY_SIZE) break;
  }
  for (char *rest = NULL, *line = strtok_r(start, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
    add(context, line);
}

void cdb__history_open(cdb__history *history, void (*add)(void *, const char *), void *context) {
  char path[4096];
  struct stat info;
  const char *home = getenv("HOME");
  history->descriptor = -1;
  if (home == NULL || home[0] == '\0') return;
  int length = snprintf(path, sizeof path, "%s/.collegedb_history", home);
  if (length < 0 || (size_t)length >= sizeof path) return;
  int descriptor = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
  if (descriptor < 0) return;
  if (fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode) || fchmod(descriptor, 0600) != 0) {
    close(descriptor);
    return;
  }
  char *text = read_end(descriptor, info.st_size, size_limit / 2);
  if (text != NULL) {
    if (info.st_size > size_limit) shorten(descriptor, text);
    hand_out(text, add, context);
    free(text);
  }
  history->descriptor = descriptor;
}

/* In one write, so that lines of two sessions do not mix. */
void cdb__history_add(cdb__history *history, const char *line) {
  if (history->descriptor < 0) return;
  size_t length = strlen(line);
  char *text = (char *)malloc(length + 1);
  if (text == NULL) return;
  memcpy(text, line, length);
  text[length] = '\n';
  if (write(history->descriptor, text, length + 1) < 0) cdb__history_close(history);
  free(text);
}

void cdb__history_close(cdb__history *history) {
  if (history->descriptor >= 0) close(history->descriptor);
  history->descriptor = -1;
}
