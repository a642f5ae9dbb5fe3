/* The words before the script or command: lua5.4's options, and --config FILE. */
#ifndef CDB_BIN_OPTIONS_H
#define CDB_BIN_OPTIONS_H

#include <lua.h>

typedef struct {
  int first;              /* index of the script or command; argc if there is none */
  int is_file;            /* "--" stood before it: a script, whatever its name */
  int interactive;        /* -i */
  int version;            /* -v, and -i, which says it too */
  int statements;         /* an -e was there: standard input is not read for a script */
  int ignore_environment; /* -E */
  int help;
  const char *config;  /* the FILE of --config, or NULL */
  const char *unknown; /* the option that is wrong, or NULL */
  int needs_argument;  /* it is a known one, and what should follow it is missing */
} cdb__options;

/* What `collegedb --help` prints. */
extern const char cdb__usage[];

void cdb__parse_options(cdb__options *options, int argc, char **argv);

/* Does what -e, -l and -W say, in their order, up to the first failure. Returns an exit status. */
int cdb__run_options(lua_State *L, int first, char **argv);

#endif
