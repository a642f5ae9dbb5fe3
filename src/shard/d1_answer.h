/* What D1 answers: looked at as a whole first, so that nothing but an answer is
 * taken for one, and then read value by value. */
#ifndef CDB_SHARD_D1_ANSWER_H
#define CDB_SHARD_D1_ANSWER_H

#include <stdbool.h>

#include "core/text.h"
#include "net/jansson.h"

enum { CDB__D1_UNKNOWN = INT64_MIN }; /* a count that was not told, or rounded on its way */

typedef struct {
  json_t *root; /* NULL: none */
  const json_t *rows, *names;
  size_t count, columns;
  bool plain; /* all values may be taken as they are */
  int64_t changes, last_row_id, rows_read, rows_written, size;
} cdb__d1_answer;

/* False for a text that is no good answer; then there is nothing to free. */
bool cdb__d1_answer_read(const cdb__jansson *jansson, const char *text, size_t size, cdb__d1_answer *out);
void cdb__d1_answer_free(const cdb__jansson *jansson, cdb__d1_answer *answer);

const char *cdb__d1_answer_name(const cdb__jansson *jansson, const cdb__d1_answer *answer, size_t column);

/* So many bytes decode all values of a row. */
size_t cdb__d1_answer_room(const cdb__jansson *jansson, const cdb__d1_answer *answer, size_t row);
/* Reads one value; what has to be decoded goes to *room, which moves on. False: it has another form than
 * that. */
bool cdb__d1_answer_value(const cdb__jansson *jansson, const cdb__d1_answer *answer, size_t row,
                          size_t column, bool encoded, char **room, cdb_value *out);

/* Adds what an answer that has errors says of them; nothing of any other text. */
void cdb__d1_answer_errors(const cdb__jansson *jansson, const char *text, size_t size, cdb__text *out);

#endif
