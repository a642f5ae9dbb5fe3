/* What may come over the network: D1's answers, read in C (src/shard/d1_answer.h), and those of Workers KV
 * and of the coordinator, read in Lua (answers.lua). The first byte says which. */
#include <string.h>

#include "script.h"
#include "shard/d1_answer.h"

static cdb__jansson jansson;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  cdb__fault fault;
  (void)argc;
  (void)argv;
  CHECK(cdb__jansson_load(&jansson, &fault) == CDB_OK, "%s", fault.message);
  script_open("answers");
  return 0;
}

static unsigned sum; /* so that every byte is read */

static void read_value(const cdb_value *value) {
  CHECK(value->type >= CDB_NULL && value->type <= CDB_BLOB, "type %d", value->type);
  if (value->type != CDB_TEXT && value->type != CDB_BLOB) return;
  for (size_t i = 0; i < value->size; i++) sum += ((const unsigned char *)value->data)[i];
}

static void read_rows(const cdb__d1_answer *answer, bool encoded) {
  for (size_t i = 0; i < answer->count; i++) {
    const size_t size = cdb__d1_answer_room(&jansson, answer, i);
    char *room = malloc(size), *at = room;
    cdb_value value;
    for (size_t k = 0; k < answer->columns; k++) {
      if (!cdb__d1_answer_value(&jansson, answer, i, k, encoded, &at, &value)) break;
      CHECK(at <= room + size, "%zu bytes were not enough", size);
      read_value(&value);
    }
    free(room);
  }
}

static void read_one(const cdb__d1_answer *answer) {
  read_rows(answer, false);
  read_rows(answer, true);
  for (size_t i = 0; answer->names && i < answer->columns; i++)
    CHECK(cdb__d1_answer_name(&jansson, answer, i) != NULL, "column %zu", i);
}

static void read_answer(const char *text, size_t size) {
  cdb__d1_answer answer;
  if (!cdb__d1_answer_read(&jansson, text, size, &answer)) return;
  read_one(&answer);
  cdb__d1_answer_free(&jansson, &answer);
}

/* As src/shard/d1_batch.c takes them: what was taken outlives the whole. */
static void read_answers(const char *text, size_t size, size_t count) {
  cdb__d1_answers answers;
  cdb__d1_answer taken[4];
  if (!cdb__d1_answers_read(&jansson, text, size, count, &answers)) return;
  for (size_t i = 0; i < count; i++) taken[i] = cdb__d1_answers_take(&jansson, &answers, i);
  cdb__d1_answers_free(&jansson, &answers);
  for (size_t i = 0; i < count; i++) {
    if (taken[i].rows) read_one(&taken[i]);
    cdb__d1_answer_free(&jansson, &taken[i]);
  }
}

static void read_errors(const char *text, size_t size) {
  cdb__text out = {0};
  cdb__d1_answer_errors(&jansson, text, size, &out);
  CHECK(!out.failed && (!out.data || out.data[out.size] == '\0'), "%zu bytes", out.size);
  cdb__text_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!size) return 0;
  char *text = malloc(size);
  memcpy(text, data + 1, size - 1);
  text[size - 1] = '\0'; /* as an answer that curl has gathered */
  if (*data >= '0' && *data <= '3') {
    read_answer(text, size - 1);
    for (size_t count = 0; count < 4; count++) read_answers(text, size - 1, count);
    read_errors(text, size - 1);
  } else {
    script_call(data, size);
  }
  free(text);
  return 0;
}
