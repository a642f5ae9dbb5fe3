/* forks: processes for tests that need thousands of them. The parent may have no database open.
 *
 *     local pid, from, to = forks.start(function(from, to) … return 0 end)
 *     forks.wait(pid)             --> exit status, or 128 + the signal
 *     forks.wait(pid, true)       -- the same, or "stopped" as soon as it is
 *     forks.kill(pid, "KILL")     -- or STOP, CONT
 *     forks.pause(0.01)           -- seconds
 *     forks.now()                 -- seconds, of a clock that all processes share
 *     forks.exit(3)               -- at once: nothing is closed or flushed
 *
 * A child has its own ends of two pipes; what the function returns is its status, and an error is printed
 * and 70. It ends with its parent. */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lualib.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FAILED = 70 };

static int close_stream(lua_State *L) {
  luaL_Stream *stream = luaL_checkudata(L, 1, LUA_FILEHANDLE);
  return luaL_fileresult(L, fclose(stream->f) == 0, NULL);
}

/* Both ends' descriptors are this process's alone once the other's are closed. */
static void push_stream(lua_State *L, int descriptor, const char *mode) {
  luaL_Stream *stream = lua_newuserdatauv(L, sizeof *stream, 0);
  stream->closef = NULL;
  luaL_setmetatable(L, LUA_FILEHANDLE);
  stream->f = fdopen(descriptor, mode);
  if (!stream->f) luaL_error(L, "fdopen: %s", strerror(errno));
  stream->closef = close_stream;
}

static _Noreturn void run_child(lua_State *L, pid_t parent, int from, int to) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(FAILED);
  push_stream(L, from, "r"); /* these two stay open, below those that the function gets */
  push_stream(L, to, "w");
  lua_pushvalue(L, 1);
  lua_pushvalue(L, -3);
  lua_pushvalue(L, -3);
  int status;
  if (lua_pcall(L, 2, 1, 0) != LUA_OK) {
    fflush(NULL);
    dprintf(to, "%s\n", luaL_tolstring(L, -1, NULL));
    status = FAILED;
  } else {
    status = (int)luaL_optinteger(L, -1, 0);
  }
  fflush(NULL);
  _exit(status);
}

static int start(lua_State *L) {
  int down[2], up[2];
  luaL_checktype(L, 1, LUA_TFUNCTION);
  if (pipe2(down, O_CLOEXEC) != 0 || pipe2(up, O_CLOEXEC) != 0)
    return luaL_error(L, "pipe: %s", strerror(errno));
  fflush(NULL);
  const pid_t parent = getpid(), child = fork();
  if (child < 0) return luaL_error(L, "fork: %s", strerror(errno));
  close(child == 0 ? down[1] : down[0]);
  close(child == 0 ? up[0] : up[1]);
  if (child == 0) run_child(L, parent, down[0], up[1]);
  lua_pushinteger(L, child);
  push_stream(L, up[0], "r");
  push_stream(L, down[1], "w");
  return 3;
}

static int wait_for(lua_State *L) {
  const pid_t child = (pid_t)luaL_checkinteger(L, 1);
  int status;
  pid_t ended;
  do ended = waitpid(child, &status, lua_toboolean(L, 2) ? WUNTRACED : 0);
  while (ended < 0 && errno == EINTR);
  if (ended < 0) return luaL_error(L, "waitpid: %s", strerror(errno));
  if (WIFSTOPPED(status)) lua_pushliteral(L, "stopped");
  else lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  return 1;
}

static int send_signal(lua_State *L) {
  static const char *const names[] = {"KILL", "STOP", "CONT", NULL};
  static const int signals[] = {SIGKILL, SIGSTOP, SIGCONT};
  const pid_t child = (pid_t)luaL_checkinteger(L, 1);
  if (child <= 1) return luaL_error(L, "no child: %d", (int)child);
  kill(child, signals[luaL_checkoption(L, 2, "KILL", names)]);
  return 0;
}

static int pause_for(lua_State *L) {
  const double seconds = luaL_checknumber(L, 1);
  struct timespec rest = {.tv_sec = (time_t)seconds};
  rest.tv_nsec = (long)((seconds - (double)rest.tv_sec) * 1e9);
  while (nanosleep(&rest, &rest) != 0 && errno == EINTR) continue;
  return 0;
}

static int now(lua_State *L) {
  struct timespec time;
  clock_gettime(CLOCK_BOOTTIME, &time);
  lua_pushnumber(L, (lua_Number)time.tv_sec + (lua_Number)time.tv_nsec / 1e9);
  return 1;
}

static int exit_now(lua_State *L) { _exit((int)luaL_checkinteger(L, 1)); }

__attribute__((visibility("default"))) int luaopen_forks(lua_State *L);

int luaopen_forks(lua_State *L) {
  static const luaL_Reg functions[] = {{"start", start},     {"wait", wait_for}, {"kill", send_signal},
                                       {"pause", pause_for}, {"now", now},       {"exit", exit_now},
                                       {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
