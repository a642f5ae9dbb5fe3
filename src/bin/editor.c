/* The line editor: libedit, opened with dlopen, so that a script run does not pay
 * for it and a machine without it still runs everything else. Only its header is
 * needed to build.
 *
 * The editor is a userdata; its finalizer gives the terminal and the memory back.
 * Signals wait while a line is edited, except where the next character is waited
 * for: none is lost, and none meets libedit half way through something. */
#include "bin/editor.h"

#include <dlfcn.h>
#include <errno.h>
#include <histedit.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include <lauxlib.h>

#include "bin/complete.h"
#include "bin/history.h"

/* The functions of libedit that are used; its variadic ones among them. */
#define FUNCTIONS(X)                                             \
  X(EditLine *, el_init, (const char *, FILE *, FILE *, FILE *)) \
  X(void, el_end, (EditLine *))                                  \
  X(int, el_set, (EditLine *, int, ...))                         \
  X(int, el_get, (EditLine *, int, ...))                         \
  X(const char *, el_gets, (EditLine *, int *))                  \
  X(int, el_source, (EditLine *, const char *))                  \
  X(void, el_resize, (EditLine *))                               \
  X(const LineInfo *, el_line, (EditLine *))                     \
  X(int, el_insertstr, (EditLine *, const char *))               \
  X(History *, history_init, (void))                             \
  X(void, history_end, (History *))                              \
  X(int, history, (History *, HistEvent *, int, ...))

struct cdb__editor {
  void *library;
#define MEMBER(type, name, arguments) type(*name) arguments;
  FUNCTIONS(MEMBER)
#undef MEMBER
  EditLine *line;
  History *entries;
  cdb__history file;
  lua_State *L; /* for completion, while a line is read */
  const char *prompt;
  mbstate_t decoding;
  sigset_t waiting; /* the mask while a character is waited for */
};

/* A signal handler has no argument to reach the editor by. */
volatile sig_atomic_t cdb__editor_interrupted = 0;
static volatile sig_atomic_t resized = 0, resumed = 0;

static void on_resize(int signal_number) {
  (void)signal_number;
  resized = 1;
}

static void on_resume(int signal_number) {
  (void)signal_number;
  resumed = 1;
}

static cdb__editor *editor_of(EditLine *line, int (*get)(EditLine *, int, ...)) {
  void *data = NULL;
  get(line, EL_CLIENTDATA, &data);
  return (cdb__editor *)data;
}

/* libedit's callbacks get its handle only, and reach ours by its function el_get,
 * which is the same for every editor. */
static int (*find_editor)(EditLine *, int, ...) = NULL;

static char *give_prompt(EditLine *line) {
  union { /* libedit takes it unconst, and does not write to it */
    const char *given;
    char *taken;
  } prompt = {editor_of(line, find_editor)->prompt};
  return prompt.taken;
}

/* After the terminal was someone else's, or is another size now. */
static void refresh(cdb__editor *editor) {
  if (resumed) editor->el_set(editor->line, EL_PREP_TERM, 1);
  if (resized) editor->el_resize(editor->line);
  resized = resumed = 0;
  putchar('\r'); /* libedit draws from the first column */
  editor->el_set(editor->line, EL_REFRESH);
}

/* Waits for a character; bytes that are no text in the locale are dropped. */
static int get_character(EditLine *line, wchar_t *character) {
  cdb__editor *editor = editor_of(line, find_editor);
  sigset_t held;
  for (;;) {
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    int ready = ppoll(&input, 1, NULL, &editor->waiting);
    int error = errno;
    /* Where there is input, ppoll leaves a signal waiting; what it came before must not overtake it. */
    sigprocmask(SIG_SETMASK, &editor->waiting, &held);
    sigprocmask(SIG_SETMASK, &held, NULL);
    if (cdb__editor_interrupted) return -1;
    if (resized || resumed) refresh(editor);
    if (ready < 0 && error == EINTR) continue;
    char byte;
    ssize_t count = ready < 0 ? -1 : read(STDIN_FILENO, &byte, 1);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count <= 0) return (int)count;
    size_t used = mbrtowc(character, &byte, 1, &editor->decoding);
    if (used == (size_t)-1) memset(&editor->decoding, 0, sizeof editor->decoding);
    if (used != (size_t)-1 && used != (size_t)-2) return 1;
  }
}

/* Writes names in columns under the line that is edited. */
static void list_names(lua_State *L, int names) {
  struct winsize size;
  size_t longest = 1, length, count = lua_rawlen(L, names);
  size_t width = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
  for (size_t i = 1; i <= count; i++, lua_pop(L, 1)) {
    lua_rawgeti(L, names, (lua_Integer)i);
    lua_tolstring(L, -1, &length);
    if (length > longest) longest = length;
  }
  size_t columns = width / (longest + 2) > 0 ? width / (longest + 2) : 1;
  for (size_t i = 1; i <= count; i++, lua_pop(L, 1)) {
    lua_rawgeti(L, names, (lua_Integer)i);
    if ((i - 1) % columns == 0) putchar('\n');
    printf("%-*s", i % columns == 0 ? 0 : (int)(longest + 2), lua_tostring(L, -1));
  }
  putchar('\n');
  fflush(stdout);
}

/* Tab: inserts what all names that fit have in common, or shows them. */
static unsigned char on_tab(EditLine *line, int key) {
  (void)key;
  cdb__editor *editor = editor_of(line, find_editor);
  lua_State *L = editor->L;
  const LineInfo *text = editor->el_line(line);
  int top = lua_gettop(L);
  unsigned char answer = CC_REFRESH;
  size_t length = (size_t)(text->cursor - text->buffer);
  if (strspn(text->buffer, " \t") >= length) /* an indent, perhaps a pasted one */
    return editor->el_insertstr(line, "\t") == 0 ? CC_REFRESH : CC_ERROR;
  if (!lua_checkstack(L, LUA_MINSTACK)) return CC_ERROR;
  lua_pushcfunction(L, cdb__complete);
  lua_pushlightuserdata(L, &length);
  lua_pushlightuserdata(L, (void *)(size_t)text->buffer);
  if (lua_pcall(L, 2, 2, 0) != LUA_OK || lua_isnil(L, -2)) {
    answer = CC_REFRESH_BEEP;
  } else if (lua_rawlen(L, -2) > 0) {
    editor->el_insertstr(line, lua_tostring(L, -2));
  } else if (lua_rawlen(L, -1) > 1) {
    list_names(L, lua_gettop(L));
    answer = CC_REDISPLAY;
  }
  lua_settop(L, top);
  return answer;
}

static int load_library(cdb__editor *editor) {
  editor->library = dlopen("libedit.so.2", RTLD_NOW | RTLD_LOCAL);
  if (editor->library == NULL) return 0;
    /* ISO C has no way from an object's address to a function's; POSIX has this one. */
#define FIND(type, name, arguments)                          \
  *(void **)(&editor->name) = dlsym(editor->library, #name); \
  if (editor->name == NULL) return 0;
  FUNCTIONS(FIND)
#undef FIND
  find_editor = editor->el_get;
  return 1;
}

static void remember(void *context, const char *text) {
  cdb__editor *editor = (cdb__editor *)context;
  HistEvent event;
  editor->history(editor->entries, &event, H_ENTER, text);
}

static int start(cdb__editor *editor) {
  HistEvent event;
  /* Text is UTF-8 unless the environment says other: also where it says nothing. */
  if (setlocale(LC_CTYPE, "") == NULL || MB_CUR_MAX == 1) setlocale(LC_CTYPE, "C.UTF-8");
  editor->line = editor->el_init("collegedb", stdin, stdout, stderr);
  editor->entries = editor->history_init();
  if (editor->line == NULL || editor->entries == NULL) return 0;
  EditLine *line = editor->line;
  editor->history(editor->entries, &event, H_SETSIZE, CDB__HISTORY_SIZE);
  editor->history(editor->entries, &event, H_SETUNIQUE, 1);
  editor->el_set(line, EL_CLIENTDATA, editor);
  editor->el_set(line, EL_PROMPT, give_prompt);
  editor->el_set(line, EL_EDITOR, "emacs");
  editor->el_set(line, EL_HIST, editor->history, editor->entries);
  editor->el_set(line, EL_GETCFN, get_character);
  editor->el_set(line, EL_ADDFN, "collegedb-complete", "Complete a name", on_tab);
  editor->el_set(line, EL_BIND, "^I", "collegedb-complete", NULL);
  editor->el_set(line, EL_BIND, "^R", "em-inc-search-prev", NULL);
  editor->el_source(line, NULL); /* ~/.editrc, which has the last word */
  cdb__history_open(&editor->file, remember, editor);
  return 1;
}

static int close_editor(lua_State *L) {
  cdb__editor *editor = (cdb__editor *)lua_touserdata(L, 1);
  cdb__history_close(&editor->file);
  if (editor->entries != NULL) editor->history_end(editor->entries);
  if (editor->line != NULL) editor->el_end(editor->line);
  editor->entries = NULL;
  editor->line = NULL;
  return 0; /* the library stays: it may have left handlers at exit */
}

cdb__editor *cdb__editor_open(lua_State *L) {
  cdb__editor *editor = (cdb__editor *)lua_newuserdatauv(L, sizeof *editor, 0);
  memset(editor, 0, sizeof *editor);
  editor->file.descriptor = -1;
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, close_editor);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  if (load_library(editor) && start(editor)) return editor;
  lua_pop(L, 1);
  lua_pushnil(L);
  return NULL;
}

/* Lets SIGINT, SIGWINCH and SIGCONT wait; `before` is what was. */
static void hold_signals(cdb__editor *editor, sigset_t *before) {
  struct sigaction action;
  sigset_t held;
  sigemptyset(&held);
  sigaddset(&held, SIGINT);
  sigaddset(&held, SIGWINCH);
  sigaddset(&held, SIGCONT);
  sigprocmask(SIG_BLOCK, &held, before);
  editor->waiting = *before;
  sigdelset(&editor->waiting, SIGINT);
  memset(&action, 0, sizeof action);
  sigemptyset(&action.sa_mask);
  action.sa_handler = on_resize;
  sigaction(SIGWINCH, &action, NULL);
  action.sa_handler = on_resume;
  sigaction(SIGCONT, &action, NULL);
  cdb__editor_interrupted = resumed = 0;
}

int cdb__editor_read(cdb__editor *editor, lua_State *L, const char *prompt) {
  sigset_t before;
  int count = 0;
  fflush(stdout);
  editor->L = L;
  editor->prompt = prompt;
  memset(&editor->decoding, 0, sizeof editor->decoding);
  hold_signals(editor, &before);
  /* Before the prompt shows, and not at the first character: what is typed at once is ours too. */
  editor->el_set(editor->line, EL_PREP_TERM, 1);
  const char *text = editor->el_gets(editor->line, &count);
  signal(SIGWINCH, SIG_DFL);
  signal(SIGCONT, SIG_DFL);
  sigprocmask(SIG_SETMASK, &before, NULL);
  if (cdb__editor_interrupted) return -2;
  if (text == NULL || count <= 0) return -1;
  size_t length = strlen(text);
  if (length > 0 && text[length - 1] == '\n') length--;
  lua_pushlstring(L, text, length);
  text = lua_tostring(L, -1);
  if (text[strspn(text, " \t")] == '\0') return 0;
  remember(editor, text);
  cdb__history_add(&editor->file, text);
  return 0;
}
