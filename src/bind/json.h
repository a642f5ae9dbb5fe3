/* Documents of jansson's inside Lua; shared by json.c and d1_rows.c. */
#ifndef CDB_BIND_JSON_H
#define CDB_BIND_JSON_H

#include "bind/bind.h"
#include "net/jansson.h"

#define CDB__JSON_READER "collegedb.json.reader"
#define CDB__JSON_DOCUMENT "collegedb.json.document"

typedef struct {
  cdb__jansson jansson;
} cdb__json_reader;

/* A raised error frees it, as does the collector. User value 1 is its reader. */
typedef struct {
  const cdb__json_reader *reader;
  json_t *root;       /* NULL once it was read */
  const json_t *rows; /* of an answer of D1's: an array of arrays, each with `columns` values */
  size_t columns;
  bool too_deep;
} cdb__json_document;

/* Pushes the document of the text; NULL and why, as two values, if it is none. With `loose`, when an integer
 * does not fit into 64 bits, all come as floats. `reader` is the reader's index. */
cdb__json_document *cdb__json_load(lua_State *L, int reader, int text, bool loose);
void cdb__json_forget(cdb__json_document *document);
/* Pushes a value; nil, and sets too_deep, where it is nested too deeply. */
void cdb__json_push(lua_State *L, cdb__json_document *document, const json_t *value, int depth);

/* d1_rows.c: reader:d1(text), and document:rows(names, encoded). */
int cdb__json_d1(lua_State *L);
int cdb__json_rows(lua_State *L);

#endif
