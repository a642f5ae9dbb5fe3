/* core.file_facts(path): what collegedb doctor asks of a file or folder, without opening it (see files.c):
 *
 *   kind        "file", "folder", "device" (of characters), "pipe" or "other"
 *   size, links, mode (the lowest nine bits), device, modified (unix seconds)
 *   owner       the user's name, or number
 *   mine        whether that is this process's user
 *   writable    whether this process may write it
 *   free        bytes of its file system that this process may still use
 *   network     the kind of file system where that is on the net, such as "nfs"
 *
 * Nil and the reason where there is none. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "bind/bind.h"

/* The numbers are statfs(2)'s. */
static const struct {
  unsigned long number;
  const char *name;
} networks[] = {{0x6969UL, "nfs"},     {0xFF534D42UL, "cifs"}, {0xFE534D42UL, "smb2"},
                {0x517BUL, "smb"},     {0x00C36400UL, "ceph"}, {0x0BD00BD0UL, "lustre"},
                {0x5346414FUL, "afs"}, {0x01021997UL, "9p"},   {0x7461636FUL, "ocfs2"}};

static const char *network_of(unsigned long number) {
  for (size_t i = 0; i < sizeof networks / sizeof *networks; i++)
    if (networks[i].number == (number & 0xFFFFFFFFUL)) return networks[i].name;
  return NULL;
}

static void set_integer(lua_State *L, const char *field, lua_Integer value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, field);
}

static void push_owner(lua_State *L, uid_t owner) {
  struct passwd entry, *found = NULL;
  char room[2048];
  if (getpwuid_r(owner, &entry, room, sizeof room, &found) == 0 && found) {
    lua_pushstring(L, found->pw_name);
  } else {
    lua_pushfstring(L, "%I", (LUAI_UACINT)owner);
  }
}

static const char *kind_of(mode_t mode) {
  if (S_ISREG(mode)) return "file";
  if (S_ISDIR(mode)) return "folder";
  if (S_ISCHR(mode)) return "device";
  return S_ISFIFO(mode) ? "pipe" : "other";
}

static void push_stat(lua_State *L, const char *path, const struct stat *info) {
  lua_pushstring(L, kind_of(info->st_mode));
  lua_setfield(L, -2, "kind");
  set_integer(L, "size", (lua_Integer)info->st_size);
  set_integer(L, "links", (lua_Integer)info->st_nlink);
  set_integer(L, "mode", (lua_Integer)(info->st_mode & 0777));
  set_integer(L, "device", (lua_Integer)info->st_dev);
  set_integer(L, "modified", (lua_Integer)info->st_mtim.tv_sec);
  push_owner(L, info->st_uid);
  lua_setfield(L, -2, "owner");
  lua_pushboolean(L, info->st_uid == geteuid());
  lua_setfield(L, -2, "mine");
  lua_pushboolean(L, faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0);
  lua_setfield(L, -2, "writable");
}

static int file_facts(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  struct stat info;
  if (stat(path, &info) != 0) {
    const int reason = errno;
    lua_pushnil(L);
    lua_pushstring(L, strerror(reason));
    return 2;
  }
  lua_createtable(L, 0, 12);
  push_stat(L, path, &info);
  struct statfs system;
  if (statfs(path, &system) != 0) return 1;
  set_integer(L, "free", (lua_Integer)system.f_bavail * (lua_Integer)system.f_bsize);
  lua_pushstring(L, network_of((unsigned long)system.f_type));
  lua_setfield(L, -2, "network");
  return 1;
}

void cdb__lua_open_file_facts(lua_State *L) {
  lua_pushcfunction(L, file_facts);
  lua_setfield(L, -2, "file_facts");
}
