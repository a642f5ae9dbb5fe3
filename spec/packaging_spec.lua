-- make install, uninstall, make deb and the rockspec: what they leave works where it is put, and goes again.

local process = require "spec.support.process"

local compiler = os.getenv "CC" or "gcc"
local root = process.run({ "pwd" }).stdout:gsub("\n$", "")
local build = process.build:sub(1, 1) == "/" and process.build or root .. "/" .. process.build
local version = process.read("include/collegedb.h"):match 'CDB_VERSION "(.-)"'
local is_plain = (os.getenv "CDB_SANITIZE" or "") == ""

local function has(program) return (os.execute("command -v " .. program .. " >/dev/null 2>&1")) end

---Skips the test where a program is missing; under CI that is a failure.
local function needs(program)
  if has(program) then return end
  assert.is_nil(os.getenv "CI", program .. " is not installed")
  pending(program .. " is not installed")
end

---A test of what is made of the plain build.
local function plain(f)
  return function()
    if not is_plain then return pending "packages are of the plain build" end
    f()
  end
end

---Runs a line of the shell; the test fails with what it printed if it fails.
local function shell(line, options)
  options = options or {}
  options.timeout = options.timeout or 250
  local result = process.run({ "sh", "-c", line }, options)
  assert.equal(0, result.status, line .. "\n" .. result.stdout .. result.stderr)
  return result.stdout
end

local function make(words) return shell(("make -C %s B=%s CC=%s %s"):format(root, build, compiler, words)) end

local function lines(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do list[#list + 1] = line end
  table.sort(list)
  return list
end

-- What a Lua program can do that finds the module.
local PROGRAM <const> = [[
  local collegedb = require "collegedb"
  local db <close> = collegedb.open { kv = "d.db", shards = { { name = "a", "a.db" }, { name = "b", "b.db" } } }
  db:ensure_schema "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, name TEXT)"
  db:insert("ada", "INSERT OR REPLACE INTO users VALUES ('ada', 'Ada')")
  print(collegedb.version, db:first("ada", "SELECT name FROM users WHERE id = ?", { "ada" }).name)
]]

describe("the version", function()
  it("is that of include/collegedb.h everywhere", function()
    assert.matches("^%d+%.%d+%.%d+$", version)
    local collegedb = require "collegedb"
    assert.equal(version, collegedb.version)
    assert.equal(version, collegedb._VERSION)
    assert.matches("^collegedb " .. version:gsub("%.", "%%.") .. " ", shell(process.collegedb .. " -v"))
    local rockspec = ("collegedb-%s-1.rockspec"):format(version)
    assert.same({ rockspec }, lines(shell("cd " .. root .. " && ls *.rockspec")))
    local fields = {}
    assert(loadfile(rockspec, "t", fields))()
    assert.equal(version .. "-1", fields.version)
    local changes, escaped = process.read "CHANGELOG.md", version:gsub("%.", "%%.")
    assert(changes:find("\n## %[" .. escaped .. "%] %- %d%d%d%d%-%d%d%-%d%d\n") or
      changes:find("\n## %[Unreleased%]\n\nThis becomes " .. escaped), "CHANGELOG.md does not name " .. version)
  end)
end)

describe("make install", function()
  local folder, prefix

  setup(function()
    folder = process.new_folder()
    prefix = folder .. "/usr"
    if is_plain then make("install PREFIX=" .. prefix) end
  end)
  teardown(function() process.remove(folder) end)

  local function pkg_config(words)
    return shell(("PKG_CONFIG_PATH=%s/lib/pkgconfig pkg-config %s"):format(prefix, words)):gsub("\n$", "")
  end

  it("puts each kind of file where it is looked for", plain(function()
    local there = {}
    local list = shell("cd " .. prefix .. " && find . ! -type d -printf '%P\n'")
    for _, path in ipairs(lines(list)) do there[path] = true end
    for _, path in ipairs {
      "bin/collegedb", "include/collegedb.h", "include/collegedb_lua.h", "lib/libcollegedb.a", "lib/libcollegedb.so",
      "lib/libcollegedb.so.0", "lib/libcollegedb.so." .. version, "lib/pkgconfig/collegedb.pc",
      "lib/pkgconfig/collegedb-static.pc", "lib/lua/5.4/collegedb/core.so", "share/lua/5.4/collegedb/init.lua",
      "share/lua/5.4/collegedb/strategies/hash.lua", "share/lua/5.4/collegedb/commands/status.lua",
      "share/collegedb/types/collegedb.lua", "share/collegedb/worker/src/index.js",
      "share/collegedb/worker/wrangler.jsonc", "share/doc/collegedb/README.md", "share/doc/collegedb/docs/concepts.md",
      "share/doc/collegedb/examples/c/host.c", "share/doc/collegedb/LICENSE", "share/man/man1/collegedb.1",
      "share/bash-completion/completions/collegedb", "share/zsh/site-functions/_collegedb",
    } do
      assert(there[path], path .. " is not there")
    end
    local odd = "find . -xtype l -o -name node_modules -o -name '*.db' -o -name data"
    assert.equal("", shell("cd " .. prefix .. " && " .. odd))
    local soname = shell("objdump -p " .. prefix .. "/lib/libcollegedb.so"):match "SONAME%s+(%S+)"
    assert.equal("libcollegedb.so.0", soname)
  end))

  it("brings a program, and a module for lua5.4, that work", plain(function()
    process.write(folder .. "/program.lua", PROGRAM)
    local bare = { folder = folder, env = { LUA_PATH = "", LUA_CPATH = "" } }
    assert.equal(version .. "\tAda\n", shell(prefix .. "/bin/collegedb program.lua", bare))
    assert.equal(version .. "\tAda\n", shell("lua5.4 program.lua", { folder = folder, env = {
      LUA_PATH = ("%s/share/lua/5.4/?.lua;%s/share/lua/5.4/?/init.lua"):format(prefix, prefix),
      LUA_CPATH = prefix .. "/lib/lua/5.4/?.so",
    } }))
  end))

  for kind, package in pairs { shared = "collegedb", static = "collegedb-static" } do
    it("brings what programs in C are built with: the " .. kind .. " library", plain(function()
      assert.equal(version, pkg_config("--modversion " .. package))
      local words = { host = "config.lua", lua_host = "visits.lua ada" }
      local printed_by = { host = "name = Ada Lovelace", lua_host = "ada was here 1 times" }
      for name, arguments in pairs(words) do
        local source = ("%s/examples/c/%s.c"):format(root, name)
        shell(("%s -o %s/host %s %s"):format(compiler, folder, source,
          pkg_config(("--cflags --libs %s %s"):format(package, name == "host" and "" or "lua5.4"))))
        local linked = shell("ldd " .. folder .. "/host", { env = { LD_LIBRARY_PATH = prefix .. "/lib" } })
        assert.equal(kind == "shared", linked:find("libcollegedb.so.0 =>", 1, true) ~= nil)
        local work = process.new_folder()
        local printed = shell(("%s/host %s/examples/c/%s"):format(folder, root, arguments), { folder = work,
          env = { LD_LIBRARY_PATH = kind == "shared" and prefix .. "/lib" or "", LUA_PATH = "", LUA_CPATH = "" } })
        process.remove(work)
        assert.matches(printed_by[name], printed)
      end
    end))
  end

  it("can be taken back, and leaves nothing", plain(function()
    local staged = folder .. "/staged"
    local words = ("DESTDIR=%s PREFIX=/opt/x LIBDIR=/opt/x/lib/some-triplet"):format(staged)
    make("install " .. words)
    assert.same({ "opt" }, lines(shell("ls " .. staged)))
    assert.matches("\nlibdir=/opt/x/lib/some%-triplet\n",
      process.read(staged .. "/opt/x/lib/some-triplet/pkgconfig/collegedb.pc"))
    -- What is not ours stays.
    process.write(staged .. "/opt/x/bin/other", "")
    make("uninstall " .. words)
    assert.equal(staged .. "/opt/x/bin/other\n", shell(("find %s ! -type d -o -name '*collegedb*'"):format(staged)))
  end))
end)

describe("the rockspec", function()
  it("makes a rock whose module works", plain(function()
    needs "luarocks"
    local folder = process.new_folder()
    local source, tree = folder .. "/source", folder .. "/tree"
    -- A copy: luarocks builds where the sources are.
    local parts = "Makefile packaging include src lua scripts *.rockspec"
    shell(("mkdir %s && cd %s && cp -r %s %s"):format(source, root, parts, source))
    shell(("cd %s && luarocks --lua-version=5.4 make --deps-mode=none --tree=%s collegedb-%s-1.rockspec"):format(source,
      tree, version), { env = { CFLAGS = "-O0", HOME = folder, MAKEFLAGS = "-j2" } })
    process.write(folder .. "/program.lua", PROGRAM)
    assert.equal(version .. "\tAda\n", shell("lua5.4 program.lua", { folder = folder, env = {
      LUA_PATH = ("%s/share/lua/5.4/?.lua;%s/share/lua/5.4/?/init.lua"):format(tree, tree),
      LUA_CPATH = tree .. "/lib/lua/5.4/?.so",
    } }))
    process.remove(folder)
  end))
end)

describe("the Debian packages", function()
  local packages = {}

  setup(function()
    if not is_plain or not has "dpkg-shlibdeps" then return end
    for path in make("deb"):gmatch "(build/deb/%S+%.deb)\n" do packages[#packages + 1] = root .. "/" .. path end
  end)

  it("are two, of this version, that need what they are linked to", plain(function()
    needs "dpkg-shlibdeps"
    assert.equal(2, #packages)
    local function field(package, name) return (shell(("dpkg-deb -f %s %s"):format(package, name)):gsub("\n$", "")) end
    assert.same({ "collegedb", "libcollegedb-dev" }, { field(packages[1], "Package"), field(packages[2], "Package") })
    for _, package in ipairs(packages) do assert.equal(version .. "-1", field(package, "Version")) end
    for _, library in ipairs { "libc6", "libsqlite3-0", "libnettle", "liblua5.4-0" } do
      assert.matches(library:gsub("%p", "%%%0"), field(packages[1], "Depends"))
    end
    assert.matches("collegedb %(= " .. version:gsub("%.", "%%.") .. "%-1%)", field(packages[2], "Depends"))
  end))

  it("have pages whose links lead somewhere", plain(function()
    needs "dpkg-shlibdeps"
    local folder = process.new_folder()
    shell(("dpkg-deb -x %s %s"):format(packages[1], folder))
    local doc, missing = folder .. "/usr/share/doc/collegedb/", {}
    for _, page in ipairs(lines(shell(("cd %s && ls *.md docs/*.md examples/*.md"):format(doc)))) do
      local base = doc .. (page:match "^(.*/)" or "")
      local prose = process.read(doc .. page):gsub("\n```.-\n```", "")
      for target in prose:gmatch "%]%(([^)#%s]+)[^)]*%)" do
        local file <close> = io.open(base .. target)
        local of_source = target:find "^spec/" or target:find "^[./]*include" or target:find "^%.%./lua/"
        local elsewhere = target:find "^%a+:" or of_source
        if not elsewhere and not file then missing[#missing + 1] = page .. ": " .. target end
      end
    end
    process.remove(folder)
    assert.same({}, missing)
  end))

  it("are without errors for lintian", plain(function()
    needs "lintian"
    local result = process.run({ "lintian", "--allow-root", "--fail-on", "error", table.unpack(packages) },
      { timeout = 120 })
    assert.equal(0, result.status, result.stdout .. result.stderr)
  end))

  -- Some 20 s, most of it for the system; its packages come from Debian.
  it("install, run and go on a Debian that has nothing else", plain(function()
    if shell "id -u" ~= "0\n" then pending "only root can make a system of its own" end
    needs "mmdebstrap"
    local result = process.run({ "spec/packaging/clean_root", root .. "/examples/c", table.unpack(packages) },
      { timeout = 280 })
    if result.status == 77 then
      assert.is_nil(os.getenv "CI", "Debian's packages can not be reached")
      pending "Debian's packages can not be reached"
    end
    assert.same({ 0, "" }, { result.status, result.stderr })
    local log = result.stdout
    assert.matches("\ncollegedb " .. version:gsub("%.", "%%."), log)
    assert.matches("\nquery: one\n%s+1\n", log)
    assert.matches("\nlua5%.4: " .. version:gsub("%.", "%%.") .. "\n", log)
    assert.matches("\nshared: a second ada: CONSTRAINT", log)
    assert.matches("\nstatic: a second ada: CONSTRAINT", log)
    assert.matches("\npurged: nothing is left\n$", log)
  end))
end)
