/* fault_server: a web server on 127.0.0.1 that goes wrong as it is told, and counts what reached it.
 *
 *     local server = fault_server.start()
 *     server:port()                    -- or "reset", "deaf", "refuse": see below
 *     server:play("/x", { step, … })   -- requests for /x do the steps in turn, the last one from then on;
 *                                         "*" is every path that has no play of its own. Played again, it
 * begins anew server:count("/x")               --> how many requests for it arrived in full server:seen("/x")
 * --> the last one as it came server:pass_to(port)             -- to whom steps with `pass` hand requests on
 *     server:stop()
 *
 * A step is { read = "head" | "all" (the default), delay = ms, send = bytes, drip = ms before each byte,
 * ending = "keep" | "close" (the default) | "reset" | "stall", times = how often it is done in turn (1) }.
 * With pass = true it hands the request on and sends the answer, or its first `part` bytes only. Connections
 * to the port "reset" are reset at once, those to "deaf" never get an answer, and on "refuse" nobody listens
 * until server:listen(ms). */
#include <arpa/inet.h>
#include <errno.h>
#include <lauxlib.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "fault_upstream.h"

#define CLASS "fault_server"

enum { PATHS = 1000, STEPS = 16, PORTS = 4, REQUEST_MAX = 1 << 23, CONNECTIONS = 20000 };
enum { PLAIN, RESET, DEAF, REFUSE };
enum { KEEP, CLOSE, RESET_IT, STALL };

typedef struct {
  bool whole; /* the request is read to its end first */
  bool pass;
  int delay, drip, ending, times;
  size_t part; /* at most so many bytes of the answer that was passed on */
  char *send;
  size_t size;
} step;

typedef struct {
  char *path;
  step steps[STEPS];
  int step_count, at, done; /* the step whose turn it is, and how often it was done */
  int received;
  char *seen;
  size_t seen_size;
} play;

typedef struct server server;
typedef struct {
  server *server;
  pthread_t thread;
  int socket, kind;
} connection;

struct server {
  int listeners[PORTS];
  pthread_t thread;
  pthread_mutex_t lock;
  atomic_bool stopping;
  _Atomic int64_t listen_at; /* ms; 0 never */
  atomic_int upstream;       /* a port of this machine */
  bool running;
  play plays[PATHS];
  int play_count, connection_count;
  connection *connections[CONNECTIONS];
};

/* --- one connection ----------------------------------------------------------------- */

/* Waits, but not past the end of the server. False: it stops. */
static bool pause_ms(server *s, int ms) {
  for (; ms > 0 && !s->stopping; ms -= 20) poll(NULL, 0, ms < 20 ? ms : 20);
  return !s->stopping;
}

static bool wait_readable(server *s, int socket) {
  struct pollfd waiting = {socket, POLLIN, 0};
  while (!s->stopping)
    if (poll(&waiting, 1, 20) > 0) return true;
  return false;
}

static void reset(int socket) {
  const struct linger at_once = {1, 0};
  setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

static play *find_play(server *s, const char *path, size_t size) {
  for (int i = 0; i < s->play_count; i++)
    if (strlen(s->plays[i].path) == size && memcmp(s->plays[i].path, path, size) == 0) return &s->plays[i];
  return NULL;
}

static const step *take_step(play *p) {
  if (p->done == p->steps[p->at].times && p->at < p->step_count - 1) {
    p->at++;
    p->done = 0;
  }
  p->done += p->done < p->steps[p->at].times;
  return &p->steps[p->at];
}

/* The play for "METHOD /path HTTP/1.1", and the step it is at. */
static const step *begin_step(server *s, const char *head, play **out) {
  const char *path = strchr(head, ' ');
  const size_t size = path ? strcspn(path + 1, " \r\n") : 0;
  pthread_mutex_lock(&s->lock);
  *out = path ? find_play(s, path + 1, size) : NULL;
  if (path && !*out) *out = find_play(s, "*", 1);
  const step *found = *out ? take_step(*out) : NULL;
  pthread_mutex_unlock(&s->lock);
  return found;
}

static size_t body_size(const char *head) {
  const char *line = strcasestr(head, "\r\nContent-Length:");
  return line ? strtoul(line + 17, NULL, 10) : 0;
}

/* Reads on until `wanted` bytes are there, or the end of the head for 0. Returns how many bytes there are. */
static size_t read_until(connection *c, char *room, size_t size, size_t wanted) {
  while (wanted ? size < wanted : !strstr(room, "\r\n\r\n")) {
    if (size >= REQUEST_MAX - 1 || !wait_readable(c->server, c->socket)) return 0;
    const ssize_t more = recv(c->socket, room + size, REQUEST_MAX - 1 - size, 0);
    if (more <= 0) return 0;
    size += (size_t)more;
    room[size] = '\0';
  }
  return size;
}

static void note_received(server *s, play *p, const char *request, size_t size) {
  char *copy = malloc(size);
  pthread_mutex_lock(&s->lock);
  p->received++;
  free(p->seen);
  p->seen = copy;
  p->seen_size = copy ? size : 0;
  if (copy) memcpy(copy, request, size);
  pthread_mutex_unlock(&s->lock);
}

static bool send_bytes(connection *c, const step *now, const char *bytes, size_t size) {
  const size_t piece = now->drip ? 1 : size;
  for (size_t done = 0; done < size;) {
    if (now->drip && !pause_ms(c->server, now->drip)) return false;
    const size_t rest = size - done;
    const ssize_t sent = send(c->socket, bytes + done, rest < piece ? rest : piece, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    done += (size_t)sent;
  }
  return true;
}

static bool send_answer(connection *c, const step *now, const char *request, size_t size) {
  char *passed = NULL;
  size_t passed_size = 0;
  if (now->pass && !fault_upstream_ask(c->server->upstream, request, size, &passed, &passed_size))
    return false;
  bool sent = pause_ms(c->server, now->delay) || !now->delay;
  if (sent && now->pass) sent = send_bytes(c, now, passed, passed_size < now->part ? passed_size : now->part);
  else if (sent) sent = send_bytes(c, now, now->send, now->size);
  free(passed);
  return sent;
}

/* One request. False: the connection is to be closed. */
static bool serve(connection *c, char *room) {
  size_t size = read_until(c, room, 0, 0);
  if (!size) return false;
  play *p;
  const step *now = begin_step(c->server, room, &p);
  if (!now) return false;
  if (now->whole) {
    const size_t head = (size_t)(strstr(room, "\r\n\r\n") + 4 - room);
    size = read_until(c, room, size, head + body_size(room));
    if (!size) return false;
    note_received(c->server, p, room, size);
  }
  const bool sent = send_answer(c, now, room, size);
  if (now->ending == RESET_IT) reset(c->socket);
  if (now->ending == STALL)
    while (pause_ms(c->server, 1000)) {
    }
  return sent && now->ending == KEEP;
}

static void *run_connection(void *context) {
  connection *c = context;
  char *room = calloc(1, REQUEST_MAX);
  if (c->kind == RESET) reset(c->socket);
  if (c->kind == DEAF)
    while (pause_ms(c->server, 1000)) {
    }
  if (c->kind == PLAIN && room)
    while (serve(c, room)) room[0] = '\0';
  if (c->kind == PLAIN) shutdown(c->socket, SHUT_WR);
  close(c->socket);
  free(room);
  return NULL;
}

/* --- the server ---------------------------------------------------------------------- */

static void take_connection(server *s, int kind) {
  const int socket = accept(s->listeners[kind], NULL, NULL);
  connection *c = socket >= 0 && s->connection_count < CONNECTIONS ? malloc(sizeof *c) : NULL;
  if (!c) {
    if (socket >= 0) close(socket);
    return;
  }
  *c = (connection){.server = s, .socket = socket, .kind = kind == REFUSE ? PLAIN : kind};
  pthread_attr_t small; /* a thread's stack is kept until it is joined, at the end */
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 1 << 17);
  if (pthread_create(&c->thread, &small, run_connection, c) == 0) s->connections[s->connection_count++] = c;
  else free(c);
  pthread_attr_destroy(&small);
}

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void listen_when_due(server *s) {
  if (!s->listen_at || now_ms() < s->listen_at) return;
  s->listen_at = 0;
  listen(s->listeners[REFUSE], 128);
}

static void *run_server(void *context) {
  server *s = context;
  struct pollfd waiting[PORTS];
  for (int i = 0; i < PORTS; i++) waiting[i] = (struct pollfd){s->listeners[i], POLLIN, 0};
  while (!s->stopping) {
    listen_when_due(s);
    if (poll(waiting, PORTS, 20) <= 0) continue;
    for (int i = 0; i < PORTS; i++)
      if (waiting[i].revents & POLLIN) take_connection(s, i);
    if (waiting[REFUSE].revents & ~POLLIN) poll(NULL, 0, 2); /* nobody listens there yet */
  }
  return NULL;
}

static void free_play(play *p) {
  for (int i = 0; i < p->step_count; i++) free(p->steps[i].send);
  free(p->path);
  free(p->seen);
}

static int stop(lua_State *L) {
  server *s = luaL_checkudata(L, 1, CLASS);
  s->stopping = true;
  if (s->running) pthread_join(s->thread, NULL);
  s->running = false;
  for (int i = 0; i < s->connection_count; i++) {
    pthread_join(s->connections[i]->thread, NULL);
    free(s->connections[i]);
  }
  s->connection_count = 0;
  for (int i = 0; i < PORTS; i++) {
    if (s->listeners[i] >= 0) close(s->listeners[i]);
    s->listeners[i] = -1;
  }
  for (int i = 0; i < s->play_count; i++) free_play(&s->plays[i]);
  s->play_count = 0;
  return 0;
}

static int bind_port(lua_State *L, bool listening) {
  const int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (listener < 0) luaL_error(L, "socket: %s", strerror(errno));
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
      (listening && listen(listener, 128) != 0)) {
    close(listener);
    luaL_error(L, "bind: %s", strerror(errno));
  }
  return listener;
}

static int start(lua_State *L) {
  server *s = lua_newuserdatauv(L, sizeof *s, 0);
  memset(s, 0, sizeof *s);
  for (int i = 0; i < PORTS; i++) s->listeners[i] = -1;
  pthread_mutex_init(&s->lock, NULL);
  luaL_setmetatable(L, CLASS);
  for (int i = 0; i < PORTS; i++) s->listeners[i] = bind_port(L, i != REFUSE);
  s->running = pthread_create(&s->thread, NULL, run_server, s) == 0;
  if (!s->running) return luaL_error(L, "no thread for the server");
  return 1;
}

static int get_port(lua_State *L) {
  static const char *const names[] = {"plain", "reset", "deaf", "refuse", NULL};
  const server *s = luaL_checkudata(L, 1, CLASS);
  struct sockaddr_in address;
  socklen_t size = sizeof address;
  if (getsockname(s->listeners[luaL_checkoption(L, 2, "plain", names)], (struct sockaddr *)&address, &size) !=
      0)
    return luaL_error(L, "getsockname: %s", strerror(errno));
  lua_pushinteger(L, ntohs(address.sin_port));
  return 1;
}

/* server:pass_to(port) */
static int pass_to(lua_State *L) {
  server *s = luaL_checkudata(L, 1, CLASS);
  s->upstream = (int)luaL_checkinteger(L, 2);
  return 0;
}

/* server:listen(ms): on the port "refuse", in so many ms. */
static int listen_later(lua_State *L) {
  server *s = luaL_checkudata(L, 1, CLASS);
  s->listen_at = now_ms() + luaL_checkinteger(L, 2);
  return 0;
}

static void read_step(lua_State *L, step *out) {
  static const char *const reads[] = {"head", "all", NULL};
  static const char *const endings[] = {"keep", "close", "reset", "stall", NULL};
  luaL_checktype(L, -1, LUA_TTABLE);
  lua_getfield(L, -1, "read");
  lua_getfield(L, -2, "ending");
  lua_getfield(L, -3, "delay");
  lua_getfield(L, -4, "drip");
  lua_getfield(L, -5, "pass");
  lua_getfield(L, -6, "part");
  lua_getfield(L, -7, "times");
  lua_getfield(L, -8, "send");
  const char *send = lua_tolstring(L, -1, &out->size);
  out->whole = luaL_checkoption(L, -8, "all", reads) == 1;
  out->ending = luaL_checkoption(L, -7, "close", endings);
  out->delay = (int)lua_tointeger(L, -6);
  out->drip = (int)lua_tointeger(L, -5);
  out->pass = lua_toboolean(L, -4);
  out->part = (size_t)luaL_optinteger(L, -3, PTRDIFF_MAX);
  out->times = (int)luaL_optinteger(L, -2, 1);
  out->send = out->size ? malloc(out->size) : NULL;
  if (out->send) memcpy(out->send, send, out->size);
  lua_pop(L, 8);
}

static int add_play(lua_State *L) {
  server *s = luaL_checkudata(L, 1, CLASS);
  const char *path = luaL_checkstring(L, 2);
  const lua_Integer count = luaL_len(L, 3);
  luaL_argcheck(L, s->play_count < PATHS && count >= 1 && count <= STEPS, 3, "too many steps, or none");
  play added = {.path = strdup(path)};
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(L, 3, i);
    read_step(L, &added.steps[added.step_count++]);
    lua_pop(L, 1);
  }
  pthread_mutex_lock(&s->lock);
  play *before = find_play(s, path, strlen(path));
  if (before) {
    /* A connection may be at one of its steps still. */
    added.received = before->received;
    before->path[0] = '\0';
  }
  s->plays[s->play_count++] = added;
  pthread_mutex_unlock(&s->lock);
  return 0;
}

static int get_count(lua_State *L) {
  server *s = luaL_checkudata(L, 1, CLASS);
  const char *path = luaL_checkstring(L, 2);
  pthread_mutex_lock(&s->lock);
  const play *p = find_play(s, path, strlen(path));
  const int count = p ? p->received : 0;
  pthread_mutex_unlock(&s->lock);
  lua_pushinteger(L, count);
  return 1;
}

static int get_seen(lua_State *L) {
  server *s = luaL_checkudata(L, 1, CLASS);
  const char *path = luaL_checkstring(L, 2);
  pthread_mutex_lock(&s->lock);
  const play *p = find_play(s, path, strlen(path));
  if (p && p->seen) lua_pushlstring(L, p->seen, p->seen_size);
  else lua_pushnil(L);
  pthread_mutex_unlock(&s->lock);
  return 1;
}

__attribute__((visibility("default"))) int luaopen_fault_server(lua_State *L);

int luaopen_fault_server(lua_State *L) {
  static const luaL_Reg methods[] = {{"port", get_port},   {"listen", listen_later}, {"play", add_play},
                                     {"count", get_count}, {"seen", get_seen},       {"pass_to", pass_to},
                                     {"stop", stop},       {"__gc", stop},           {NULL, NULL}};
  luaL_newmetatable(L, CLASS);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, start);
  lua_setfield(L, -2, "start");
  return 1;
}
