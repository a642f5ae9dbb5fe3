-- The module for Lua 5.4. The program collegedb and the library for C come by `make install` or as Debian packages.
rockspec_format = "3.0"
package = "collegedb"
version = "0.1.0-1"
source = { url = "." } -- luarocks make, in the folder of the sources
description = {
  summary = "Many SQLite files as one database, routed by key",
  detailed = [[
    A program hands a key over with each SQL statement, and the statement runs on the SQLite file, or the Cloudflare D1
    database, that has the rows of this key. Existing files are taken in as they are, and rows are moved between files
    while programs run.]],
  license = "MIT",
}
dependencies = { "lua >= 5.4, < 5.5" } -- and lua-cjson, if the directory is a table KV
external_dependencies = {
  SQLITE = { header = "sqlite3.h" },
  NETTLE = { header = "nettle/sha2.h" },
  XXHASH = { header = "xxhash.h" },
  JANSSON = { header = "jansson.h" }, -- and curl, whose headers Debian has where luarocks does not look
}
build = {
  type = "make",
  build_target = "rock",
  install_target = "install-rock",
  build_variables = { B = "build/rock", LUA = "$(LUA)", LUA_CFLAGS = "-I$(LUA_INCDIR)" },
  install_variables = { B = "build/rock", LUA = "$(LUA)", LUA_CFLAGS = "-I$(LUA_INCDIR)", LUADIR = "$(LUADIR)",
    LUACDIR = "$(LIBDIR)" },
}
