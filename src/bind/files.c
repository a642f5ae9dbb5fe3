/* Files as such: the lock that every open instance of a directory holds, and
 * what stat tells. Lua must not ask by opening a file: closing any descriptor of
 * a database drops the locks that SQLite holds on it. */
#include "core/filelock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "bind/bind.h"

#define LOCK_CLASS "collegedb.filelock"

static int *check_lock_at(lua_State *L, int arg) { return luaL_checkudata(L, arg, LOCK_CLASS); }
static int *check_lock(lua_State *L) { return check_lock_at(L, 1); }

int cdb__lua_filelock(lua_State *L, int arg) { return *check_lock_at(L, arg); }

/* core.filelock(path, database): holds the shared lock. */
static int open_lock(lua_State *L) {
  const char *path = luaL_checkstring(L, 1), *database = luaL_checkstring(L, 2);
  cdb__fault fault;
  int *lock = lua_newuserdatauv(L, sizeof *lock, 0);
  *lock = -1;
  luaL_setmetatable(L, LOCK_CLASS);
  if (cdb__filelock_open(lock, path, database, 5000, &fault) != CDB_OK)
    return cdb__lua_raise(L, &fault, NULL, NULL);
  return 1;
}

/* lock:exclusive(): true when no other instance is there; keeps them out until lock:shared(). */
static int exclusive(lua_State *L) {
  const int lock = *check_lock(L);
  lua_pushboolean(L, lock >= 0 && cdb__filelock_exclusive(lock));
  if (lock >= 0 && !lua_toboolean(L, -1))
    cdb__filelock_shared(lock); /* a failed upgrade may have dropped it */
  return 1;
}

static int shared(lua_State *L) {
  const int lock = *check_lock(L);
  if (lock >= 0) cdb__filelock_shared(lock);
  return 0;
}

/* lock:claim(number): true when that piece of work is this instance's now; it ends with lock:release(number).
 */
static int claim(lua_State *L) {
  const int lock = *check_lock(L);
  lua_pushboolean(L, lock >= 0 && cdb__filelock_claim(lock, luaL_checkinteger(L, 2)));
  return 1;
}

/* lock:share(number): holds it with others, so that nobody can claim it; false while somebody has. */
static int share(lua_State *L) {
  const int lock = *check_lock(L);
  lua_pushboolean(L, lock >= 0 && cdb__filelock_share(lock, luaL_checkinteger(L, 2)));
  return 1;
}

static int release(lua_State *L) {
  const int lock = *check_lock(L);
  if (lock >= 0) cdb__filelock_release(lock, luaL_checkinteger(L, 2));
  return 0;
}

static int close_lock(lua_State *L) {
  int *lock = check_lock(L);
  if (*lock >= 0) cdb__filelock_close(*lock);
  *lock = -1;
  return 0;
}

/* core.look_at_lock(path, number): which file it is, as core.file_id, and whether anybody holds the number,
 * be it this instance; nil for no file. */
static int look_at_lock(lua_State *L) {
  cdb__filelock_seen seen;
  if (!cdb__filelock_look(&seen, luaL_checkstring(L, 1), luaL_checkinteger(L, 2))) return 0;
  char text[64];
  snprintf(text, sizeof text, "%llx:%llx", (unsigned long long)seen.device, (unsigned long long)seen.file);
  lua_pushstring(L, text);
  lua_pushboolean(L, seen.held);
  return 2;
}

/* core.file_id(path): the same text for every path to one file; nil for none, and the reason if it is another
 * than that there is none. */
static int file_id(lua_State *L) {
  struct stat info;
  if (stat(luaL_checkstring(L, 1), &info) != 0) {
    const int reason = errno;
    lua_pushnil(L);
    if (reason == ENOENT) return 1;
    lua_pushstring(L, strerror(reason));
    return 2;
  }
  char text[64];
  snprintf(text, sizeof text, "%llx:%llx", (unsigned long long)info.st_dev, (unsigned long long)info.st_ino);
  lua_pushstring(L, text);
  return 1;
}

/* core.file_stamp(path): a text that is another one when the file was written or replaced; nil for what is
 * no regular file. */
static int file_stamp(lua_State *L) {
  struct stat info;
  if (stat(luaL_checkstring(L, 1), &info) != 0 || !S_ISREG(info.st_mode)) return 0;
  char text[128];
  snprintf(text, sizeof text, "%llx:%llx:%llx:%lld.%09ld", (unsigned long long)info.st_dev,
           (unsigned long long)info.st_ino, (unsigned long long)info.st_size, (long long)info.st_mtim.tv_sec,
           info.st_mtim.tv_nsec);
  lua_pushstring(L, text);
  return 1;
}

/* core.file_size(path): bytes; nil for no file. */
static int file_size(lua_State *L) {
  struct stat info;
  if (stat(luaL_checkstring(L, 1), &info) != 0) return 0;
  lua_pushinteger(L, (lua_Integer)info.st_size);
  return 1;
}

/* core.real_path(path): the path without links, of a file that is there; else the path itself. */
static int real_path(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  char *real = realpath(path, NULL);
  lua_pushstring(L, real ? real : path);
  free(real);
  return 1;
}

void cdb__lua_open_files(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"exclusive", exclusive}, {"shared", shared},    {"claim", claim}, {"share", share},
      {"release", release},     {"close", close_lock}, {NULL, NULL}};
  luaL_newmetatable(L, LOCK_CLASS);
  lua_pushcfunction(L, close_lock);
  lua_setfield(L, -2, "__gc");
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  lua_pushcfunction(L, open_lock);
  lua_setfield(L, -2, "filelock");
  lua_pushcfunction(L, look_at_lock);
  lua_setfield(L, -2, "look_at_lock");
  lua_pushcfunction(L, file_id);
  lua_setfield(L, -2, "file_id");
  lua_pushcfunction(L, file_stamp);
  lua_setfield(L, -2, "file_stamp");
  lua_pushcfunction(L, real_path);
  lua_setfield(L, -2, "real_path");
  lua_pushcfunction(L, file_size);
  lua_setfield(L, -2, "file_size");
}
