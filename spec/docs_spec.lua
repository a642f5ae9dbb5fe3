-- The documentation is true: its code runs, its links lead somewhere, and the methods it names exist.
--
-- The pages are README.md and docs/*.md. A code block says in its first line what it is:
--   ```lua run          a program; it runs, in the order of the page, under our interpreter
--   ```lua file=NAME    is written to NAME; a script that is run if it uses collegedb
--   ```sh run           lines for the shell, one command each, all with exit status 0 or 3
-- All blocks of a page run in one new folder in which the two shops' databases of the demo lie, east.db and west.db.

local process = require "spec.support.process"

local function lines_of(command)
  local list = {}
  local pipe <close> = assert(io.popen(command))
  for line in pipe:lines() do list[#list + 1] = line end
  return list
end

local root = lines_of("pwd")[1]
local build = process.build:sub(1, 1) == "/" and process.build or root .. "/" .. process.build
local collegedb = build .. "/collegedb"
local pages = lines_of "ls README.md CHANGELOG.md docs/*.md docs/*/*.md 2>/dev/null | LC_ALL=C sort -u"

---The code blocks of a page: { info, text, line }.
local function blocks_of(page)
  local blocks, open, number = {}, nil, 0
  for line in io.lines(page) do
    number = number + 1
    local info = line:match "^```(.*)$"
    if info and not open then
      open = { info = info, line = number, lines = {} }
    elseif info then
      open.text = table.concat(open.lines, "\n") .. "\n"
      blocks[#blocks + 1], open = open, nil
    elseif open then
      open.lines[#open.lines + 1] = line
    end
  end
  assert(not open, page .. ": a code block is not closed")
  return blocks
end

---The text of a page without its code blocks.
local function prose_of(page)
  local parts, inside = {}, false
  for line in io.lines(page) do
    if line:find "^```" then inside = not inside
    elseif not inside then parts[#parts + 1] = line end
  end
  return table.concat(parts, "\n")
end

describe("the documentation", function()
  local folder

  before_each(function()
    folder = process.new_folder()
    process.write(folder .. "/.make.lua", ([[
      package.path = %q .. "/examples/demo/?.lua;" .. package.path
      local shops = require "shops"
      shops.build { path = "east.db", domain = "east.example", customers = 40, orders = 30, items = { "a lamp" } }
      shops.build { path = "west.db", domain = "west.example", customers = 24, orders = 20, items = { "a pan" } }
    ]]):format(root))
    local made = process.run({ collegedb, "./.make.lua" }, { folder = folder })
    assert.equal("", made.stderr)
  end)

  after_each(function() process.remove(folder) end)

  local env = { PATH = build .. ":" .. os.getenv "PATH" }

  local function expect(page, block, result, also)
    if result.status == 0 or result.status == also then return result.stdout end
    error(("%s:%d: exit status %d\n%s%s"):format(page, block.line, result.status, result.stdout, result.stderr), 0)
  end

  local function run_lua(page, block, name)
    local printed = expect(page, block, process.run({ collegedb, "./" .. name }, { folder = folder, env = env }))
    -- A comment `--> text` behind a print says what it prints.
    for wanted in block.text:gmatch "%-%->%s*([^\n]+)" do
      if not printed:gsub("\t", " "):find(wanted, 1, true) then
        error(("%s:%d: it does not print %q but\n%s"):format(page, block.line, wanted, printed), 0)
      end
    end
  end

  local function run_block(page, block)
    local name = block.info:match "^lua file=(%S+)$"
    if name then
      local inner = name:match "^(.*)/[^/]*$"
      if inner then os.execute(("mkdir -p %s/%s"):format(folder, inner)) end
      process.write(folder .. "/" .. name, block.text)
      if block.text:find 'require "collegedb"' then run_lua(page, block, name) end
    elseif block.info == "lua run" then
      process.write(folder .. "/block.lua", block.text)
      run_lua(page, block, "block.lua")
    elseif block.info == "sh run" then
      for line in block.text:gmatch "[^\n]+" do
        expect(page, block, process.run({ "sh", "-c", line }, { folder = folder, env = env }), 3)
      end
    end
  end

  for _, page in ipairs(pages) do
    local runnable = {}
    for _, block in ipairs(blocks_of(page)) do
      if block.info:find "run$" or block.info:find "file=" then runnable[#runnable + 1] = block end
    end
    if #runnable > 0 then
      it("has code that runs: " .. page, function()
        for _, block in ipairs(runnable) do run_block(page, block) end
      end)
    end
  end

  it("parses as Lua where it says it is Lua", function()
    for _, page in ipairs(pages) do
      for _, block in ipairs(blocks_of(page)) do
        if block.info:find "^lua" then
          local chunk, message = load(block.text, ("=%s:%d"):format(page, block.line), "t")
          -- A block may also be an expression: a part of a config.
          chunk = chunk or load("return " .. block.text, "=x", "t") or load("return {" .. block.text .. "}", "=x", "t")
          assert(chunk, message)
        end
      end
    end
  end)

  it("links to files that exist", function()
    local missing = {}
    for _, page in ipairs(pages) do
      local base = page:match "^(.*/)[^/]*$" or ""
      for target in prose_of(page):gmatch "%]%(([^)%s]+)%)" do
        local path = target:gsub("#.*$", "")
        local file <close> = io.open(base .. path) -- opens folders too
        if path ~= "" and not path:find "^%a+:" and not file then missing[#missing + 1] = page .. " → " .. target end
      end
    end
    assert.same({}, missing)
  end)

  it("names only methods, functions and fields that exist", function()
    process.write(folder .. "/names.lua", [[
      local collegedb = require "collegedb"
      local core = require "collegedb.core"
      local db <close> = collegedb.open { kv = "memory:", shards = { { name = "a", ":memory:" } } }
      local objects = { db = db, collegedb = collegedb, tx = core.tx_methods }
      for line in io.lines() do
        local object, name = line:match "^(%w+)[.:]([%w_]+)$"
        if object and objects[object][name] == nil then print(line) end
      end
    ]])
    local unknown = {}
    for _, page in ipairs(pages) do
      local text = prose_of(page)
      for _, block in ipairs(blocks_of(page)) do
        if block.info:find "^lua" then text = text .. "\n" .. block.text end
      end
      -- What is to come stands in a section of that name; files and modules are no functions.
      text = text:gsub("\n#+ Not yet.-\n#", "\n#"):gsub("\n#+ Not yet.*$", "")
      -- Keys of a table KV, and what a trigger says, are no methods.
      for _, name in ipairs { "record", "users", "turn", "moved" } do text = text:gsub("`collegedb:" .. name, "") end
      text = text:gsub('require "collegedb%.[%l_%d]+"', "require")
      text = text:gsub("collegedb%.lua%f[^%w]", ""):gsub("collegedb[%w_]*%.h", ""):gsub("collegedb%.%l+%.", "")
      local names = {}
      for object, name in text:gmatch "%f[%w_](%l+)[.:]([%l_]+)%f[^%w_]" do
        if object == "db" or object == "tx" or object == "collegedb" then names[#names + 1] = object .. ":" .. name end
      end
      local result = process.run({ collegedb, "./names.lua" },
        { folder = folder, input = table.concat(names, "\n") .. "\n" })
      assert.equal("", result.stderr)
      for name in result.stdout:gmatch "[^\n]+" do unknown[#unknown + 1] = page .. ": " .. name end
    end
    assert.same({}, unknown)
  end)

  it("names every field of the config", function()
    local text = assert(process.read "docs/config.md")
    local source = assert(process.read "lua/collegedb/config.lua")
    for _, list in ipairs { "fields", "shard_fields" } do
      local body = assert(source:match("\nlocal " .. list .. " = (%b{})"), "config.lua has no table " .. list)
      for field in body:gmatch "%f[%w_]([%l_]+) = " do
        assert(text:find("\n| `" .. field .. "`", 1, true), "docs/config.md does not name " .. field)
      end
    end
  end)

  it("names every error code", function()
    local text = assert(process.read "docs/errors.md")
    for code in assert(process.read "include/collegedb.h"):gmatch "\n%s*X%(([%u_]+)," do
      assert(text:find("`" .. code .. "`", 1, true), "docs/errors.md does not name " .. code)
    end
  end)
end)

describe("the demo", function()
  local expected <const> = {
    "finds Ada Abel, in east%.db", "finds Cleo Cole, in west%.db", "█ there before", "20 order numbers of west",
    'db:key%("orders", 7, "west"%)  is a bread knife', "Conflicts that are left: 0", "people of acme: +10 in %w+%.db\n",
  }

  for _, host in ipairs { collegedb, "lua5.4" } do
    it("runs under " .. host:match "[^/]*$" .. ", again and again", function()
      if host == "lua5.4" and (os.getenv "CDB_SANITIZE" or "") ~= "" then
        return pending "a sanitized module does not load into lua5.4 without its runtime"
      end
      local folder = process.new_folder()
      assert(os.execute(("cp -r examples/demo %s/ && rm -rf %s/demo/data"):format(folder, folder)))
      for _ = 1, 2 do
        local result = process.run({ host, "demo/demo.lua" }, { folder = folder })
        assert.equal("", result.stderr)
        assert.equal(0, result.status)
        for _, pattern in ipairs(expected) do assert.matches(pattern, result.stdout) end
        assert.is_nil(result.stdout:find("\27", 1, true))
      end
      process.remove(folder)
    end)
  end

  it("has a strategy of at most ten lines", function()
    assert(#lines_of "cat examples/demo/strategies/by_company.lua" <= 10)
  end)
end)
