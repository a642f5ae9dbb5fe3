-- A machine without libcurl and jansson: everything but HTTP works, and HTTP says what is missing.

local process = require "spec.support.process"

describe("without libcurl", function()
  it("SQLite shards work, and a request says what is missing", function()
    if (os.getenv "CDB_SANITIZE" or "") ~= "" then return pending "a sanitizer loads libraries of its own" end
    local folder = process.new_folder()
    process.write(folder .. "/missing.c", [[
      #include <stddef.h>
      #include <stdlib.h>
      #include <string.h>
      #define _GNU_SOURCE
      #include <dlfcn.h>
      void *dlopen(const char *name, int mode) {
        void *(*next)(const char *, int) = (void *(*)(const char *, int))dlsym((void *)-1l, "dlopen");
        if (name && strstr(name, getenv("MISSING"))) name = "/nowhere/libnone.so";
        return next(name, mode);
      }]])
    local built = process.run { os.getenv "CC" or "gcc", "-shared", "-fPIC", "-o", folder .. "/missing.so",
      folder .. "/missing.c" }
    assert(built.status == 0, built.stderr)
    process.write(folder .. "/try.lua", [[
      local collegedb = require "collegedb"
      local db <close> = collegedb.open { kv = "memory:", shards = { { name = "a", ":memory:" } } }
      print(db:first("k", "SELECT 1 AS one").one)
      local done, err = pcall(require "collegedb.net".request, { url = "https://127.0.0.1:1", deadline = 1 })
      print(done, err.code, err.message)
      local d1 = collegedb.d1 { database = "d", endpoint = "https://127.0.0.1:1", deadline = 1 }
      done, err = pcall(d1.first, d1, "SELECT 1")
      print(done, err.code, err.message)
    ]])
    local function try(missing)
      local result = process.run({ process.collegedb, folder .. "/try.lua" },
        { env = { LD_PRELOAD = folder .. "/missing.so", MISSING = missing } })
      assert.equal("", result.stderr)
      return result.stdout
    end
    local without_curl, without_jansson = try "curl", try "jansson"
    process.remove(folder)
    assert.matches("^1\nfalse\tUNSUPPORTED\tHTTP needs libcurl.-libcurl4.-\nfalse\tUNSUPPORTED\t.-libcurl4",
      without_curl)
    assert.matches("^1\nfalse\tUNAVAILABLE.-\nfalse\tUNSUPPORTED\t.-libjansson4", without_jansson)
  end)
end)
