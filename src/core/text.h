/* A text that grows. What runs out of memory is noticed once, at the end:
 * `failed` stays set, and nothing more is added. */
#ifndef CDB_CORE_TEXT_H
#define CDB_CORE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct {
  char *data; /* owned; ends with a NUL that is not counted; NULL as long as nothing was added */
  size_t size, room;
  bool failed;
} cdb__text;

void cdb__text_add(cdb__text *text, const char *data, size_t size);
void cdb__text_puts(cdb__text *text, const char *string);
__attribute__((format(printf, 2, 3))) void cdb__text_printf(cdb__text *text, const char *format, ...);
/* As a JSON string, with its quotes. */
void cdb__text_json(cdb__text *text, const char *data, size_t size);
/* Is it text that JSON and JavaScript leave as it is: UTF-8 without surrogates and NUL? */
bool cdb__text_is_plain(const char *text, size_t size);
/* Lower-case hexadecimal digits. */
void cdb__text_hex(cdb__text *text, const void *data, size_t size);
/* Empties it; the memory stays for the next text. */
void cdb__text_clear(cdb__text *text);
void cdb__text_free(cdb__text *text);

#endif
