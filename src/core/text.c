#include "core/text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool make_room(cdb__text *text, size_t more) {
  if (text->failed || more >= SIZE_MAX / 2 - text->size) text->failed = true;
  if (text->failed) return false;
  const size_t needed = text->size + more + 1;
  if (needed <= text->room) return true;
  const size_t room = needed > 2 * text->room ? needed : 2 * text->room;
  char *data = realloc(text->data, room);
  if (!data) {
    text->failed = true;
    return false;
  }
  text->data = data;
  text->room = room;
  return true;
}

void cdb__text_add(cdb__text *text, const char *data, size_t size) {
  if (!make_room(text, size)) return;
  if (size) memcpy(text->data + text->size, data, size);
  text->size += size;
  text->data[text->size] = '\0';
}

void cdb__text_puts(cdb__text *text, const char *string) { cdb__text_add(text, string, strlen(string)); }

void cdb__text_printf(cdb__text *text, const char *format, ...) {
  va_list list, again;
  va_start(list, format);
  va_copy(again, list);
  const int size = vsnprintf(NULL, 0, format, list);
  if (size < 0) text->failed = true;
  else if (make_room(text, (size_t)size)) {
    vsnprintf(text->data + text->size, (size_t)size + 1, format, again);
    text->size += (size_t)size;
  }
  va_end(again);
  va_end(list);
}

/* What stands for a byte inside a JSON string; its size. */
static size_t escape(char c, char out[8]) {
  out[0] = '\\';
  switch (c) {
    case '"':
    case '\\': out[1] = c; return 2;
    case '\n': out[1] = 'n'; return 2;
    case '\r': out[1] = 'r'; return 2;
    case '\t': out[1] = 't'; return 2;
    default: return (size_t)snprintf(out, 8, "\\u%04x", (unsigned char)c);
  }
}

static bool is_special(char c) { return (unsigned char)c < 32 || c == '"' || c == '\\' || c == 127; }

void cdb__text_json(cdb__text *text, const char *data, size_t size) {
  char escaped[8];
  cdb__text_add(text, "\"", 1);
  for (size_t from = 0, at = 0; at <= size; at++) {
    if (at < size && !is_special(data[at])) continue;
    cdb__text_add(text, data + from, at - from);
    if (at < size) cdb__text_add(text, escaped, escape(data[at], escaped));
    from = at + 1;
  }
  cdb__text_add(text, "\"", 1);
}

bool cdb__text_is_plain(const char *text, size_t size) {
  for (size_t i = 0; i < size;) {
    const unsigned char c = (unsigned char)text[i];
    const size_t more = c < 0x80                ? 0
                        : c >= 0xc2 && c < 0xe0 ? 1
                        : c >= 0xe0 && c < 0xf0 ? 2
                        : c >= 0xf0 && c < 0xf5 ? 3
                                                : 9;
    if (c == 0 || i + more >= size) return false;
    for (size_t k = 1; k <= more; k++)
      if (((unsigned char)text[i + k] & 0xc0) != 0x80) return false;
    const unsigned char d = more ? (unsigned char)text[i + 1] : 0;
    if ((c == 0xe0 && d < 0xa0) || (c == 0xed && d >= 0xa0) || (c == 0xf0 && d < 0x90) ||
        (c == 0xf4 && d >= 0x90))
      return false;
    i += more + 1;
  }
  return true;
}

void cdb__text_hex(cdb__text *text, const void *data, size_t size) {
  static const char digits[] = "0123456789abcdef";
  const unsigned char *bytes = data;
  if (size > SIZE_MAX / 4) text->failed = true;
  if (!make_room(text, 2 * size)) return;
  char *out = text->data + text->size;
  for (size_t i = 0; i < size; i++) {
    *out++ = digits[bytes[i] >> 4];
    *out++ = digits[bytes[i] & 15];
  }
  *out = '\0';
  text->size += 2 * size;
}

void cdb__text_clear(cdb__text *text) {
  text->size = 0;
  text->failed = false;
}

void cdb__text_free(cdb__text *text) {
  free(text->data);
  *text = (cdb__text){0};
}
