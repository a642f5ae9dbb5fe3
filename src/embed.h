/* Lua modules that live inside the program or library, as source text. The
 * table is generated (scripts/build/embed.lua) and sorted by name. */
#ifndef CDB_EMBED_H
#define CDB_EMBED_H

#include <stddef.h>

#include <lua.h>

typedef struct {
  const char *module; /* "collegedb.router" */
  const char *chunk;  /* "@[collegedb]/router.lua" */
  const char *text;
  size_t size;
} cdb__embedded_module;

extern const cdb__embedded_module cdb__embedded_modules[];
extern const size_t cdb__embedded_count;

/* The module of that name, or NULL. */
const cdb__embedded_module *cdb__embedded_find(const char *module);

/* Makes the embedded modules, and collegedb.core, known to `require`. Doing it
 * twice changes nothing. Raises Lua errors (a `package` without searchers). */
void cdb__embed_install(lua_State *L);

#endif
