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
  bool repeated;        /* by the gateway: the write was done when it came before, and its rows are gone */
  const char *bookmark; /* of the gateway, in `root`; or NULL */
} cdb__d1_answer;

/* The answer to a batch. */
typedef struct {
  json_t *root;
  const json_t *list;
  bool repeated;
  const char *bookmark;
} cdb__d1_answers;

/* False for a text that is no good answer; then there is nothing to free. */
bool cdb__d1_answer_read(const cdb__jansson *jansson, const char *text, size_t size, cdb__d1_answer *out);
void cdb__d1_answer_free(const cdb__jansson *jansson, cdb__d1_answer *answer);

/* The same of an answer with results for `count` statements. */
bool cdb__d1_answers_read(const cdb__jansson *jansson, const char *text, size_t size, size_t count,
                          cdb__d1_answers *out);
/* One of the results, as an answer of its own; without rows where it is none. */
cdb__d1_answer cdb__d1_answers_take(const cdb__jansson *jansson, const cdb__d1_answers *answers, size_t i);
void cdb__d1_answers_free(const cdb__jansson *jansson, cdb__d1_answers *answers);

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
