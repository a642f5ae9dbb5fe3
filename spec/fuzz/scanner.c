/* The scanner on any bytes: what it tells lies in the text, is told again for the same statement by itself,
 * and does not depend on blanks and comments around it. */
#include <string.h>

#include "core/scanner.h"
#include "fuzz.h"

typedef struct {
  char *text; /* of exactly `size` bytes, so that reading behind it is seen */
  size_t size;
  cdb__sql_info info;
} scanned;

/* `before` + text + `after` */
static scanned scan(const char *before, const char *text, size_t size, const char *after) {
  const size_t front = strlen(before), back = strlen(after);
  scanned s = {.size = front + size + back};
  s.text = malloc(s.size ? s.size : 1);
  memcpy(s.text, before, front);
  memcpy(s.text + front, text, size);
  memcpy(s.text + front + size, after, back);
  cdb__sql_scan(s.text, s.size, &s.info);
  return s;
}

static void check_name(const scanned *s) {
  char *room = malloc(s->info.table_size + 2);
  const size_t whole = cdb__sql_name(s->info.table, s->info.table_size, room, s->info.table_size + 1);
  CHECK(whole <= s->info.table_size && room[whole] == '\0', "%zu bytes became %zu", s->info.table_size,
        whole);
  for (size_t capacity = 0; capacity <= whole; capacity++)
    CHECK(cdb__sql_name(s->info.table, s->info.table_size, room, capacity) == capacity, "of %zu bytes",
          capacity);
  free(room);
}

static void check_inside(const scanned *s) {
  CHECK(s->info.kind <= CDB__SQL_OTHER, "%d", s->info.kind);
  CHECK(s->info.end <= s->size, "%zu of %zu", s->info.end, s->size);
  if (!s->info.table) return;
  CHECK(s->info.table_size > 0, "a table without a name");
  CHECK(s->info.table >= s->text && s->info.table + s->info.table_size <= s->text + s->info.end, "outside");
  check_name(s);
}

/* The same statement as in `a`, that begins `shift` bytes later. */
static void check_same(const scanned *a, const scanned *b, size_t shift, const char *what) {
  CHECK(a->info.kind == b->info.kind, "%s: kind %d became %d", what, a->info.kind, b->info.kind);
  CHECK((a->info.table == NULL) == (b->info.table == NULL), "%s: the table", what);
  if (a->info.table) {
    CHECK(a->info.table - a->text + (ptrdiff_t)shift == b->info.table - b->text, "%s: the table's place",
          what);
    CHECK(a->info.table_size == b->info.table_size, "%s: the table's size", what);
  }
}

static void check_around(const scanned *s, const char *before, const char *after) {
  scanned other = scan(before, s->text, s->size, after);
  check_inside(&other);
  check_same(s, &other, strlen(before), *before ? "put before" : "put behind");
  CHECK(s->info.second == other.info.second, "%s%s", before, after);
  if (!*after) CHECK(s->info.end + strlen(before) == other.info.end, "%zu", other.info.end);
  free(other.text);
}

/* Each statement by itself, as those of a script are looked at. */
static void check_parts(const scanned *s) {
  for (size_t at = 0; at < s->size;) {
    scanned rest = scan("", s->text + at, s->size - at, "");
    check_inside(&rest);
    scanned part = scan("", rest.text, rest.info.end, "");
    check_same(&rest, &part, 0, "by itself");
    CHECK(!part.info.second && part.info.end == rest.info.end, "a statement ends in two ways");
    at += rest.info.end ? rest.info.end : 1;
    free(rest.text);
    free(part.text);
    if (s->size > 4096) return; /* linear once is quadratic here */
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  scanned first = scan("", (const char *)data, size, ""), again = scan("", (const char *)data, size, "");
  check_inside(&first);
  check_same(&first, &again, 0, "again");
  CHECK(first.info.end == again.info.end && first.info.second == again.info.second, "again");
  if (!size || *data != '\v') { /* which is space only behind space */
    check_around(&first, " \t\r\n", "");
    check_around(&first, "/* SELECT 1; */--;\n", "");
    check_around(&first, ";", "");
  }
  const bool ends_open =
      size >= 2 && memcmp(data + size - 2, "/*", 2) == 0; /* a comment, if anything follows */
  const bool has_nul = size && memchr(data, '\0', size);
  if (!ends_open) check_around(&first, "", "\n");
  if (!ends_open && !has_nul) check_around(&first, "", "\n-- DELETE FROM orders;\n");
  check_parts(&first);
  free(first.text);
  free(again.text);
  return 0;
}
