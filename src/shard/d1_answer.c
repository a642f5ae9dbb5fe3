#include "shard/d1_answer.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- the form of an answer ----------------------------------------------------------- */

/* Its numbers were floats on their way: one of 2^63 or more is of no use, but must not spoil the rest. */
static json_t *load(const cdb__jansson *jansson, const char *text, size_t size) {
  json_error_t error;
  const size_t flags = JSON_ALLOW_NUL;
  json_t *root = jansson->loadb(text, size, flags, &error);
  if (root || json_error_code(&error) != json_error_numeric_overflow) return root;
  return jansson->loadb(text, size, flags | JSON_DECODE_INT_AS_REAL, &error);
}

/* A text in which JavaScript has replaced what was no UTF-8 is not the text. */
static bool is_plain(const cdb__jansson *jansson, const json_t *value) {
  if (json_is_null(value)) return true;
  return json_is_string(value) &&
         !memmem(jansson->string_value(value), jansson->string_length(value), "\xef\xbf\xbd", 3);
}

/* Are all rows arrays of so many values? */
static bool check_rows(const cdb__jansson *jansson, cdb__d1_answer *a) {
  a->plain = true;
  for (size_t i = 0; i < a->count; i++) {
    const json_t *row = jansson->array_get(a->rows, i);
    if (!json_is_array(row) || jansson->array_size(row) != a->columns) return false;
    for (size_t k = 0; a->plain && k < a->columns; k++)
      a->plain = is_plain(jansson, jansson->array_get(row, k));
  }
  return true;
}

/* A statement that gives no rows may leave its columns out. */
static bool check_names(const cdb__jansson *jansson, const json_t *names) {
  if (!names) return true;
  if (!json_is_array(names)) return false;
  for (size_t i = 0; i < jansson->array_size(names); i++)
    if (!json_is_string(jansson->array_get(names, i))) return false;
  return true;
}

/* The results in the answer, or NULL for any other form. */
static const json_t *find_results(const cdb__jansson *jansson, const json_t *root) {
  if (!json_is_object(root) || !json_is_true(jansson->object_get(root, "success"))) return NULL;
  const json_t *list = jansson->object_get(root, "result");
  return json_is_array(list) ? list : NULL;
}

/* The result of the last statement in the answer. */
static const json_t *find_result(const cdb__jansson *jansson, const json_t *root) {
  const json_t *list = find_results(jansson, root);
  const size_t count = list ? jansson->array_size(list) : 0;
  return count ? jansson->array_get(list, count - 1) : NULL;
}

static bool read_digits(const char *text, int64_t *out) {
  char *end;
  errno = 0;
  *out = strtoll(text, &end, 10);
  return errno == 0 && end != text && *end == '\0';
}

static int64_t count_of(const cdb__jansson *jansson, const json_t *meta, const char *name) {
  const json_t *value = json_is_object(meta) ? jansson->object_get(meta, name) : NULL;
  int64_t exact;
  if (json_is_string(value) && read_digits(jansson->string_value(value), &exact)) return exact;
  if (!json_is_number(value)) return CDB__D1_UNKNOWN;
  const double number =
      json_is_integer(value) ? (double)jansson->integer_value(value) : jansson->real_value(value);
  return fabs(number) < 9007199254740992.0 ? (int64_t)number : CDB__D1_UNKNOWN;
}

static bool read_result(const cdb__jansson *jansson, const json_t *result, cdb__d1_answer *a) {
  if (!json_is_object(result) || !json_is_true(jansson->object_get(result, "success"))) return false;
  const json_t *results = jansson->object_get(result, "results");
  if (!json_is_object(results)) return false;
  const json_t *meta = jansson->object_get(result, "meta");
  a->rows = jansson->object_get(results, "rows");
  a->names = jansson->object_get(results, "columns");
  if (!check_names(jansson, a->names) || !json_is_array(a->rows)) return false;
  a->columns = a->names ? jansson->array_size(a->names) : 0;
  a->count = jansson->array_size(a->rows);
  a->changes = count_of(jansson, meta, "changes");
  a->last_row_id = count_of(jansson, meta, "last_row_id");
  a->rows_read = count_of(jansson, meta, "rows_read");
  a->rows_written = count_of(jansson, meta, "rows_written");
  a->size = count_of(jansson, meta, "size_after");
  return check_rows(jansson, a);
}

bool cdb__d1_answer_read(const cdb__jansson *jansson, const char *text, size_t size, cdb__d1_answer *out) {
  *out = (cdb__d1_answer){0};
  out->root = load(jansson, text, size);
  if (out->root && read_result(jansson, find_result(jansson, out->root), out)) {
    out->repeated = json_is_true(jansson->object_get(out->root, "repeated"));
    out->bookmark = jansson->string_value(jansson->object_get(out->root, "bookmark"));
    return true;
  }
  cdb__d1_answer_free(jansson, out);
  return false;
}

bool cdb__d1_answers_read(const cdb__jansson *jansson, const char *text, size_t size, size_t count,
                          cdb__d1_answers *out) {
  *out = (cdb__d1_answers){.root = load(jansson, text, size)};
  out->list = out->root ? find_results(jansson, out->root) : NULL;
  if (out->list && jansson->array_size(out->list) == count) {
    out->repeated = json_is_true(jansson->object_get(out->root, "repeated"));
    out->bookmark = jansson->string_value(jansson->object_get(out->root, "bookmark"));
    return true;
  }
  cdb__d1_answers_free(jansson, out);
  return false;
}

cdb__d1_answer cdb__d1_answers_take(const cdb__jansson *jansson, const cdb__d1_answers *answers, size_t i) {
  cdb__d1_answer out = {.root = json_incref(jansson->array_get(answers->list, i))};
  if (!out.root || !read_result(jansson, out.root, &out)) out.rows = NULL;
  return out;
}

void cdb__d1_answers_free(const cdb__jansson *jansson, cdb__d1_answers *answers) {
  if (answers->root) jansson->delete (answers->root);
  *answers = (cdb__d1_answers){0};
}

void cdb__d1_answer_free(const cdb__jansson *jansson, cdb__d1_answer *answer) {
  if (answer->root) jansson->delete (answer->root);
  *answer = (cdb__d1_answer){0};
}

const char *cdb__d1_answer_name(const cdb__jansson *jansson, const cdb__d1_answer *answer, size_t column) {
  return jansson->string_value(jansson->array_get(answer->names, column));
}

/* --- values --------------------------------------------------------------------------- */

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

static bool read_hex(const char *digits, size_t size, int type, char **room, cdb_value *out) {
  bool good = size % 2 == 0;
  *out = (cdb_value){.type = type, .data = *room, .size = size / 2};
  for (size_t i = 0; i + 1 < size && good; i += 2) {
    const int high = hex_digit(digits[i]), low = hex_digit(digits[i + 1]);
    good = high >= 0 && low >= 0;
    *(*room)++ = (char)(high * 16 + low);
  }
  return good;
}

static bool read_integer(const char *text, cdb_value *out) {
  *out = (cdb_value){.type = CDB_INTEGER};
  return read_digits(text, &out->i);
}

/* A text whose first byte is its type. */
static bool read_typed(const char *text, size_t size, char **room, cdb_value *out) {
  switch (*text) {
    case 'i': return read_integer(text + 1, out);
    case 't': *out = (cdb_value){.type = CDB_TEXT, .data = text + 1, .size = size - 1}; return true;
    case 'h': return read_hex(text + 1, size - 1, CDB_TEXT, room, out);
    case 'b': return read_hex(text + 1, size - 1, CDB_BLOB, room, out);
    case 'r':
      *out = (cdb_value){.type = CDB_REAL, .d = text[1] == '-' ? -HUGE_VAL : HUGE_VAL};
      return size == 2;
    default: return false;
  }
}

static double number_of(const cdb__jansson *jansson, const json_t *value) {
  return json_is_integer(value) ? (double)jansson->integer_value(value) : jansson->real_value(value);
}

/* As it came: a whole number is an integer, where it can not have been rounded. */
static bool read_number(const cdb__jansson *jansson, const json_t *value, cdb_value *out) {
  const double number = number_of(jansson, value);
  if (json_is_integer(value)) *out = (cdb_value){.type = CDB_INTEGER, .i = jansson->integer_value(value)};
  else *out = (cdb_value){.type = CDB_REAL, .d = number};
  return fabs(number) < 9007199254740992.0;
}

size_t cdb__d1_answer_room(const cdb__jansson *jansson, const cdb__d1_answer *answer, size_t row) {
  const json_t *values = jansson->array_get(answer->rows, row);
  size_t room = 1;
  for (size_t i = 0; i < answer->columns; i++) {
    const json_t *value = jansson->array_get(values, i);
    if (json_is_string(value)) room += jansson->string_length(value) / 2;
  }
  return room;
}

bool cdb__d1_answer_value(const cdb__jansson *jansson, const cdb__d1_answer *answer, size_t row,
                          size_t column, bool encoded, char **room, cdb_value *out) {
  const json_t *value = jansson->array_get(jansson->array_get(answer->rows, row), column);
  *out = (cdb_value){.type = CDB_NULL};
  if (json_is_null(value)) return true;
  if (json_is_string(value)) {
    const char *text = jansson->string_value(value);
    const size_t size = jansson->string_length(value);
    if (encoded) return read_typed(text, size, room, out);
    *out = (cdb_value){.type = CDB_TEXT, .data = text, .size = size};
    return true;
  }
  if (!json_is_number(value)) return false;
  if (!encoded) return read_number(jansson, value, out);
  *out = (cdb_value){.type = CDB_REAL, .d = number_of(jansson, value)};
  return true;
}

/* --- errors ------------------------------------------------------------------------------ */

void cdb__d1_answer_errors(const cdb__jansson *jansson, const char *text, size_t size, cdb__text *out) {
  json_t *root = text && size && text[0] == '{' ? load(jansson, text, size) : NULL;
  const json_t *list = root ? jansson->object_get(root, "errors") : NULL;
  const size_t count = json_is_array(list) ? jansson->array_size(list) : 0;
  for (size_t i = 0; i < count; i++) {
    const json_t *each = jansson->array_get(list, i);
    const json_t *message = json_is_object(each) ? jansson->object_get(each, "message") : NULL;
    if (!json_is_string(message)) continue;
    if (out->size) cdb__text_puts(out, "; ");
    cdb__text_puts(out, jansson->string_value(message));
  }
  if (root) jansson->delete (root);
}
