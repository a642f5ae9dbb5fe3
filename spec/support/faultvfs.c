/* faultvfs: a VFS over SQLite's default one for tests of what happens when a file call fails, or is the last
 * one.
 *
 *     local shim = require("faultvfs").install(track)    -- before anything is opened; the default VFS from
 * now on shim:arm { at = 17, action = "exit", calls = "write sync", lasting = true, seed = 1 } shim:disarm()
 * -- returns the number of calls since, and the one it struck
 *
 * It counts the calls named (all, where none are) and acts at the one with the number `at`; 0 only counts.
 *
 *   exit    _exit(99), before the call is made
 *   tear    the same, and of a write the first half is made
 *   ioerr   the call fails, and with `lasting` all after it; so do full (of writes) and busy (of locks)
 *   stop    SIGSTOP before the call, which is made when the process is continued
 *   cut     a power cut: what was not synced goes (unsynced.h), then _exit(99). Needs `track`
 *
 * Nothing is synced in truth, and SQLite's sleep returns at once: a test need not wait for either. */
#include <lauxlib.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unsynced.h"

enum { STRUCK = 99 };

#define CALLS(X)                     \
  X(open, SQLITE_CANTOPEN)           \
  X(close, SQLITE_OK)                \
  X(read, SQLITE_IOERR_READ)         \
  X(write, SQLITE_IOERR_WRITE)       \
  X(truncate, SQLITE_IOERR_TRUNCATE) \
  X(sync, SQLITE_IOERR_FSYNC)        \
  X(size, SQLITE_IOERR_FSTAT)        \
  X(lock, SQLITE_IOERR_LOCK)         \
  X(unlock, SQLITE_OK)               \
  X(shm_map, SQLITE_IOERR_SHMMAP)    \
  X(shm_lock, SQLITE_IOERR_SHMLOCK)  \
  X(shm_unlock, SQLITE_OK)           \
  X(shm_unmap, SQLITE_OK)            \
  X(delete, SQLITE_IOERR_DELETE)     \
  X(access, SQLITE_IOERR_ACCESS)

#define CALL_NUMBER(name, code) CALL_##name,
#define CALL_NAME(name, code) #name,
#define CALL_CODE(name, code) code,
typedef enum { CALLS(CALL_NUMBER) CALL_COUNT } call;
static const char *const call_names[] = {CALLS(CALL_NAME) NULL};
static const int call_codes[] = {CALLS(CALL_CODE)};

typedef enum { ACT_EXIT, ACT_TEAR, ACT_IOERR, ACT_FULL, ACT_BUSY, ACT_STOP, ACT_CUT } action;
static const char *const action_names[] = {"exit", "tear", "ioerr", "full", "busy", "stop", "cut", NULL};

/* What SQLite says to such a call when a lock is held, or the disk is full; 0 where it can not be. */
static int code_of(action act, call which) {
  switch (act) {
    case ACT_FULL: return which == CALL_write || which == CALL_truncate ? SQLITE_FULL : 0;
    case ACT_BUSY: return which == CALL_lock || which == CALL_shm_lock ? SQLITE_BUSY : 0;
    default: return call_codes[which];
  }
}

typedef struct {
  sqlite3_vfs vfs;
  sqlite3_vfs *real;
  pthread_mutex_t mutex; /* held while counting and noting: integration may run on a thread */
  int track;
  unsynced log;
  int armed, lasting;
  action act;
  unsigned calls; /* a bit for each call that counts */
  long at, count;
  uint64_t seed;
  const char *struck;
} shim;

typedef struct {
  sqlite3_file base;
  shim *owner;
  const char *path; /* SQLite's, as long as the file is open; NULL for a temporary one */
  sqlite3_file *real;
} shim_file;

static shim_file *file_of(sqlite3_file *file) { return (shim_file *)file; }
static sqlite3_file *real_of(sqlite3_file *file) { return file_of(file)->real; }

/* --- striking ------------------------------------------------------------------------- */

static void end_here(shim *self) {
  if (self->act == ACT_CUT) unsynced_cut(&self->log, self->seed);
  _exit(STRUCK);
}

/* Counts a call. 0, the code it fails with, or -1 for a write that is to be torn. */
static int strike(shim *self, call which) {
  int code = 0;
  pthread_mutex_lock(&self->mutex);
  if (self->armed && (self->calls >> which & 1)) {
    const int fails = self->act == ACT_IOERR || self->act == ACT_FULL || self->act == ACT_BUSY;
    if (!fails || code_of(self->act, which)) self->count++;
    const int now = self->count == self->at || (self->lasting && self->at && self->count > self->at);
    if (now && fails) code = code_of(self->act, which);
    if (now && !self->struck) self->struck = call_names[which];
    if (now && self->act == ACT_TEAR && which == CALL_write) code = -1;
    else if (now && self->act == ACT_STOP) raise(SIGSTOP);
    else if (now && !fails) end_here(self);
  }
  pthread_mutex_unlock(&self->mutex);
  return code;
}

#define STRIKE(self, which)                   \
  do {                                        \
    const int struck_ = strike(self, which);  \
    if (struck_ != SQLITE_OK) return struck_; \
  } while (0)

/* --- files ------------------------------------------------------------------------------ */

static int file_close(sqlite3_file *file) {
  strike(file_of(file)->owner, CALL_close);
  return real_of(file)->pMethods->xClose(real_of(file));
}

static int file_read(sqlite3_file *file, void *data, int amount, sqlite3_int64 offset) {
  STRIKE(file_of(file)->owner, CALL_read);
  return real_of(file)->pMethods->xRead(real_of(file), data, amount, offset);
}

static int file_write(sqlite3_file *file, const void *data, int amount, sqlite3_int64 offset) {
  shim_file *self = file_of(file);
  const int code = strike(self->owner, CALL_write);
  if (code == -1) {
    self->real->pMethods->xWrite(self->real, data, amount / 2, offset);
    _exit(STRUCK);
  }
  if (code != SQLITE_OK) return code;
  if (self->owner->track && self->path) {
    pthread_mutex_lock(&self->owner->mutex);
    const int noted = unsynced_write(&self->owner->log, self->path, self->real, data, amount, offset);
    pthread_mutex_unlock(&self->owner->mutex);
    if (noted != SQLITE_OK) return noted;
  }
  return self->real->pMethods->xWrite(self->real, data, amount, offset);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size) {
  shim_file *self = file_of(file);
  STRIKE(self->owner, CALL_truncate);
  if (self->owner->track && self->path) {
    pthread_mutex_lock(&self->owner->mutex);
    const int noted = unsynced_truncate(&self->owner->log, self->path, self->real, size);
    pthread_mutex_unlock(&self->owner->mutex);
    if (noted != SQLITE_OK) return noted;
  }
  return self->real->pMethods->xTruncate(self->real, size);
}

static int file_sync(sqlite3_file *file, int flags) {
  shim_file *self = file_of(file);
  (void)flags;
  STRIKE(self->owner, CALL_sync);
  if (!self->owner->track || !self->path) return SQLITE_OK;
  pthread_mutex_lock(&self->owner->mutex);
  unsynced_sync(&self->owner->log, self->path);
  pthread_mutex_unlock(&self->owner->mutex);
  return SQLITE_OK;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *size) {
  STRIKE(file_of(file)->owner, CALL_size);
  return real_of(file)->pMethods->xFileSize(real_of(file), size);
}

static int file_lock(sqlite3_file *file, int level) {
  STRIKE(file_of(file)->owner, CALL_lock);
  return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int file_unlock(sqlite3_file *file, int level) {
  strike(file_of(file)->owner, CALL_unlock);
  return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int file_check_reserved(sqlite3_file *file, int *out) {
  return real_of(file)->pMethods->xCheckReservedLock(real_of(file), out);
}

static int file_control(sqlite3_file *file, int operation, void *argument) {
  return real_of(file)->pMethods->xFileControl(real_of(file), operation, argument);
}

static int file_sector_size(sqlite3_file *file) {
  return real_of(file)->pMethods->xSectorSize(real_of(file));
}

static int file_characteristics(sqlite3_file *file) {
  return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}

static int file_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **out) {
  STRIKE(file_of(file)->owner, CALL_shm_map);
  return real_of(file)->pMethods->xShmMap(real_of(file), region, size, extend, out);
}

static int file_shm_lock(sqlite3_file *file, int offset, int n, int flags) {
  if (flags & SQLITE_SHM_LOCK) STRIKE(file_of(file)->owner, CALL_shm_lock);
  else strike(file_of(file)->owner, CALL_shm_unlock);
  return real_of(file)->pMethods->xShmLock(real_of(file), offset, n, flags);
}

static void file_shm_barrier(sqlite3_file *file) { real_of(file)->pMethods->xShmBarrier(real_of(file)); }

static int file_shm_unmap(sqlite3_file *file, int delete_it) {
  strike(file_of(file)->owner, CALL_shm_unmap);
  return real_of(file)->pMethods->xShmUnmap(real_of(file), delete_it);
}

static int file_fetch(sqlite3_file *file, sqlite3_int64 offset, int amount, void **out) {
  return real_of(file)->pMethods->xFetch(real_of(file), offset, amount, out);
}

static int file_unfetch(sqlite3_file *file, sqlite3_int64 offset, void *page) {
  return real_of(file)->pMethods->xUnfetch(real_of(file), offset, page);
}

static const sqlite3_io_methods methods = {
    .iVersion = 3,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
    .xFetch = file_fetch,
    .xUnfetch = file_unfetch,
};

/* --- the VFS ---------------------------------------------------------------------------- */

static shim *shim_of(sqlite3_vfs *vfs) { return vfs->pAppData; }
static sqlite3_vfs *real_vfs(sqlite3_vfs *vfs) { return shim_of(vfs)->real; }

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *out_flags) {
  shim_file *self = file_of(file);
  memset(self, 0, sizeof *self);
  STRIKE(shim_of(vfs), CALL_open);
  self->owner = shim_of(vfs);
  self->path = flags & SQLITE_OPEN_DELETEONCLOSE ? NULL : path;
  self->real = (sqlite3_file *)(self + 1);
  const int journal = flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL);
  const int made = self->path && journal && access(path, F_OK) != 0;
  const int code = real_vfs(vfs)->xOpen(real_vfs(vfs), path, self->real, flags, out_flags);
  if (self->real->pMethods) self->base.pMethods = &methods;
  if (code == SQLITE_OK && made && self->owner->track) {
    pthread_mutex_lock(&self->owner->mutex);
    unsynced_create(&self->owner->log, path);
    pthread_mutex_unlock(&self->owner->mutex);
  }
  return code;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int sync_folder) {
  shim *self = shim_of(vfs);
  STRIKE(self, CALL_delete);
  if (self->track) {
    pthread_mutex_lock(&self->mutex);
    unsynced_delete(&self->log, path, sync_folder);
    pthread_mutex_unlock(&self->mutex);
  }
  return self->real->xDelete(self->real, path, 0);
}

static int vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *out) {
  STRIKE(shim_of(vfs), CALL_access);
  return real_vfs(vfs)->xAccess(real_vfs(vfs), path, flags, out);
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *path, int size, char *out) {
  return real_vfs(vfs)->xFullPathname(real_vfs(vfs), path, size, out);
}

static int vfs_randomness(sqlite3_vfs *vfs, int size, char *out) {
  return real_vfs(vfs)->xRandomness(real_vfs(vfs), size, out);
}

static int vfs_sleep(sqlite3_vfs *vfs, int microseconds) {
  (void)vfs;
  return microseconds;
}

static int vfs_last_error(sqlite3_vfs *vfs, int size, char *out) {
  return real_vfs(vfs)->xGetLastError(real_vfs(vfs), size, out);
}

static int vfs_time(sqlite3_vfs *vfs, sqlite3_int64 *out) {
  return real_vfs(vfs)->xCurrentTimeInt64(real_vfs(vfs), out);
}

static int vfs_old_time(sqlite3_vfs *vfs, double *out) {
  return real_vfs(vfs)->xCurrentTime(real_vfs(vfs), out);
}

static void fill_vfs(shim *self) {
  self->vfs = (sqlite3_vfs){
      .iVersion = 2,
      .szOsFile = (int)sizeof(shim_file) + self->real->szOsFile,
      .mxPathname = self->real->mxPathname,
      .zName = "faultvfs",
      .pAppData = self,
      .xOpen = vfs_open,
      .xDelete = vfs_delete,
      .xAccess = vfs_access,
      .xFullPathname = vfs_full_path,
      .xRandomness = vfs_randomness,
      .xSleep = vfs_sleep,
      .xCurrentTime = vfs_old_time,
      .xGetLastError = vfs_last_error,
      .xCurrentTimeInt64 = vfs_time,
  };
}

/* --- Lua ---------------------------------------------------------------------------------- */

#define CLASS "faultvfs"

static shim *check_shim(lua_State *L) { return *(shim **)luaL_checkudata(L, 1, CLASS); }

static int lua_install(lua_State *L) {
  if (sqlite3_vfs_find("faultvfs")) return luaL_error(L, "faultvfs is installed already");
  shim **box = lua_newuserdatauv(L, sizeof *box, 0);
  luaL_setmetatable(L, CLASS);
  shim *self = *box = calloc(1, sizeof *self); /* SQLite keeps it: never freed */
  if (!self) return luaL_error(L, "no memory");
  self->real = sqlite3_vfs_find(NULL);
  self->track = lua_toboolean(L, 1);
  pthread_mutex_init(&self->mutex, NULL);
  fill_vfs(self);
  if (sqlite3_vfs_register(&self->vfs, 1) != SQLITE_OK) return luaL_error(L, "faultvfs was not registered");
  return 1;
}

static unsigned calls_of(lua_State *L, const char *text) {
  unsigned set = 0;
  for (unsigned i = 0; i < CALL_COUNT; i++) {
    const char *found = text ? strstr(text, call_names[i]) : NULL;
    const size_t size = strlen(call_names[i]);
    while (found && ((found > text && found[-1] != ' ') || (found[size] && found[size] != ' ')))
      found = strstr(found + 1, call_names[i]);
    if (!text || found) set |= 1u << i;
  }
  if (!set) luaL_error(L, "no such calls: %s", text);
  return set;
}

static int lua_arm(lua_State *L) {
  shim *self = check_shim(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  lua_getfield(L, 2, "at");
  lua_getfield(L, 2, "action");
  lua_getfield(L, 2, "calls");
  lua_getfield(L, 2, "lasting");
  lua_getfield(L, 2, "seed");
  self->at = (long)luaL_optinteger(L, 3, 0);
  self->act = (action)luaL_checkoption(L, 4, "exit", action_names);
  self->calls = calls_of(L, luaL_optstring(L, 5, NULL));
  self->lasting = lua_toboolean(L, 6);
  self->seed = (uint64_t)luaL_optinteger(L, 7, 0);
  if (self->act == ACT_CUT && !self->track) return luaL_error(L, "cut: install(true) was not asked for");
  self->count = 0;
  self->struck = NULL;
  self->armed = 1;
  return 0;
}

static int lua_disarm(lua_State *L) {
  shim *self = check_shim(L);
  self->armed = 0;
  lua_pushinteger(L, self->count);
  lua_pushstring(L, self->struck);
  return 2;
}

__attribute__((visibility("default"))) int luaopen_faultvfs(lua_State *L);

int luaopen_faultvfs(lua_State *L) {
  static const luaL_Reg functions[] = {{"install", lua_install}, {NULL, NULL}};
  static const luaL_Reg shim_methods[] = {{"arm", lua_arm}, {"disarm", lua_disarm}, {NULL, NULL}};
  luaL_newmetatable(L, CLASS);
  luaL_newlib(L, shim_methods);
  lua_setfield(L, -2, "__index");
  luaL_newlib(L, functions);
  return 1;
}
