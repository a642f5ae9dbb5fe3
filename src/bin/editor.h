/* Reading lines with libedit: editing, history, completion with Tab. */
#ifndef CDB_BIN_EDITOR_H
#define CDB_BIN_EDITOR_H

#include <signal.h>

#include <lua.h>

typedef struct cdb__editor cdb__editor;

/* Set by the SIGINT handler of the interactive mode. */
extern volatile sig_atomic_t cdb__editor_interrupted;

/* Pushes the editor, which lives as long as the value, or nil and returns NULL if
 * libedit is not installed or does not take the terminal. */
cdb__editor *cdb__editor_open(lua_State *L);

/* Pushes a line without its end and returns 0. Otherwise pushes nothing and
 * returns -1 at the end of the input, -2 if SIGINT came. */
int cdb__editor_read(cdb__editor *editor, lua_State *L, const char *prompt);

#endif
