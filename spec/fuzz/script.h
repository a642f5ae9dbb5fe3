/* A target whose checks are in Lua, in the file of its name: it returns a function(text), and raises what it
 * finds. */
#ifndef SPEC_FUZZ_SCRIPT_H
#define SPEC_FUZZ_SCRIPT_H

#include <lua.h>

#include "fuzz.h"

/* Opens the state and loads spec/fuzz/NAME.lua. */
void script_open(const char *name);
/* Calls its function; an error ends the process. */
void script_call(const uint8_t *data, size_t size);

#endif
