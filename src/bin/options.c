/* Options as lua5.4 takes them, in two passes as its lua.c has them: the first
 * only looks, so that a wrong option ends the program before anything has run;
 * the second runs -e, -l and -W in the order they stand in. */
#include "bin/options.h"

#include <stdlib.h>
#include <string.h>

#include "bin/run.h"

const char cdb__usage[] =
    "usage: collegedb [OPTION…] [SCRIPT.lua [ARGUMENT…]]   run a Lua script\n"
    "       collegedb COMMAND [ARGUMENT…]      run a command; `collegedb help` lists them\n"
    "       collegedb                          on a terminal: be asked for statements\n"
    "options:\n"
    "  -e STAT         execute the string STAT\n"
    "  -l MOD          require the library MOD into the global MOD\n"
    "  -l G=MOD        require the library MOD into the global G\n"
    "  -i              ask for statements after the script\n"
    "  -v, --version   say the version\n"
    "  -E              ignore environment variables\n"
    "  -W              turn warnings on\n"
    "  --config FILE   open the database of this config as the global db\n"
    "  --help          say this\n"
    "  --              stop handling options; what follows is a script\n"
    "  -               stop handling options; the script is standard input\n";

/* The value that stands behind an option, in the same word or in the next. */
static char *value_of(char **argv, int *i) {
  char *rest = argv[*i] + 2;
  return *rest != '\0' ? rest : argv[++*i];
}

/* Reads one word beginning with "--", longer than that. */
static int parse_long(cdb__options *options, char **argv, int *i) {
  const char *word = argv[*i] + 2;
  if (strcmp(word, "version") == 0) {
    options->version = 1;
  } else if (strcmp(word, "help") == 0) {
    options->help = 1;
  } else if (strncmp(word, "config=", 7) == 0) {
    options->config = word + 7;
  } else if (strcmp(word, "config") == 0) {
    options->needs_argument = argv[*i + 1] == NULL;
    if (options->needs_argument) return 0;
    options->config = argv[++*i];
  } else {
    return 0;
  }
  return 1;
}

/* Reads one word beginning with a single dash and a letter. */
static int parse_short(cdb__options *options, char **argv, int *i) {
  const char *word = argv[*i];
  char letter = word[1];
  if (letter == 'e' || letter == 'l') {
    const char *value = value_of(argv, i);
    /* As there: what follows as a word of its own may not look like an option. */
    options->needs_argument = value == NULL || (word[2] == '\0' && value[0] == '-');
    if (letter == 'e') options->statements = 1;
    return !options->needs_argument;
  }
  if (word[2] != '\0') return 0;
  if (letter == 'i') options->interactive = options->version = 1;
  if (letter == 'v') options->version = 1;
  if (letter == 'E') options->ignore_environment = 1;
  return strchr("ivEW", letter) != NULL;
}

void cdb__parse_options(cdb__options *options, int argc, char **argv) {
  memset(options, 0, sizeof *options);
  int i = 1;
  for (; i < argc && argv[i][0] == '-' && argv[i][1] != '\0'; i++) {
    char *word = argv[i];
    if (strcmp(word, "--") == 0) {
      options->is_file = 1;
      i++;
      break;
    }
    int known = word[1] == '-' ? parse_long(options, argv, &i) : parse_short(options, argv, &i);
    if (!known) {
      options->unknown = word;
      return;
    }
  }
  options->first = i < argc ? i : argc;
}

int cdb__run_options(lua_State *L, int first, char **argv) {
  int status = EXIT_SUCCESS;
  for (int i = 1; i < first && status == EXIT_SUCCESS; i++) {
    switch (argv[i][1]) {
      case 'e': status = cdb__run_string(L, value_of(argv, &i), "=(command line)"); break;
      case 'l': status = cdb__run_library(L, value_of(argv, &i)); break;
      case 'W': lua_warning(L, "@on", 0); break;
      case '-':
        if (strcmp(argv[i], "--config") == 0) i++;
        break;
      default: break;
    }
  }
  return status;
}
