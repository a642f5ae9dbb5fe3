/* The lines typed in interactive mode, in ~/.collegedb_history. */
#ifndef CDB_BIN_HISTORY_H
#define CDB_BIN_HISTORY_H

/* So many lines are offered, and kept when the file is shortened. */
#define CDB__HISTORY_SIZE 1000

typedef struct {
  int descriptor; /* -1: nothing is written */
} cdb__history;

/* Opens the file, making it if need be, and hands its last lines to `add`, oldest
 * first. Without HOME, or where the file cannot be opened, there is none. */
void cdb__history_open(cdb__history *history, void (*add)(void *context, const char *line), void *context);

void cdb__history_add(cdb__history *history, const char *line);
void cdb__history_close(cdb__history *history);

#endif
