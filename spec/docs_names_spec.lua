-- The documentation names what exists: its links lead somewhere, and methods, fields and codes are there.

local pages = require "spec.support.pages"
local process = require "spec.support.process"

local collegedb = pages.build .. "/collegedb"

describe("the documentation", function()
  local folder

  before_each(function() folder = process.new_folder() end)
  after_each(function() process.remove(folder) end)

  -- The anchors that GitHub gives the headings of a page.
  local function anchors_of(page)
    local anchors, seen = {}, {}
    for title in ("\n" .. pages.prose(page)):gmatch "\n#+ ([^\n]+)" do
      local name = title:gsub("%[([^%]]*)%]%([^%)]*%)", "%1"):lower():gsub("[^%w_ \128-\255-]", ""):gsub(" ", "-")
      anchors[seen[name] and name .. "-" .. seen[name] or name] = true
      seen[name] = (seen[name] or 0) + 1
    end
    return anchors
  end

  local function is_there(base, target, page)
    local path, anchor = target:match "^([^#]*)#?(.*)$"
    local file <close> = io.open(base .. path) -- opens folders too
    if path ~= "" and not file then return false end
    local other = path == "" and page or base .. path
    return anchor == "" or not other:find "%.md$" or anchors_of(other)[anchor] == true
  end

  it("links to files, and to headings, that exist", function()
    local missing = {}
    for _, page in ipairs(pages.list()) do
      local base = page:match "^(.*/)[^/]*$" or ""
      for target in pages.prose(page):gmatch "%]%(([^)%s]+)%)" do
        local elsewhere = target:find "^%a+:"
        if not elsewhere and not is_there(base, target, page) then missing[#missing + 1] = page .. " → " .. target end
      end
    end
    assert.same({}, missing)
  end)

  it("names only methods, functions and fields that exist", function()
    process.write(folder .. "/names.lua", [[
      local collegedb = require "collegedb"
      local core = require "collegedb.core"
      local db <close> = collegedb.open { kv = "memory:", shards = { { name = "a", ":memory:" } } }
      local objects = { db = db, collegedb = collegedb, tx = core.tx_methods,
        mapper = db:mapper(),
        gateway = getmetatable(collegedb.gateway { url = "https://x", token = "t" }).__index }
      for line in io.lines() do
        local object, name = line:match "^(%w+)[.:]([%w_]+)$"
        if object and objects[object][name] == nil then print(line) end
      end
    ]])
    local named = { db = true, tx = true, collegedb = true, mapper = true, gateway = true }
    local unknown, written = {}, "docs/reference.md" -- which spec/types_spec.lua looks after
    for _, page in ipairs(pages.list()) do
      local text = page == written and "" or pages.prose(page)
      for _, block in ipairs(pages.blocks(page)) do
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
        if named[object] then names[#names + 1] = object .. ":" .. name end
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

  it("has a section for every error code, and for no other", function()
    local text = assert(process.read "docs/errors.md")
    local documented, retried, codes, retryable = {}, {}, {}, {}
    for code in text:match("\n## Codes\n(.-\n)## "):gmatch "\n### ([%u_]+)\n" do documented[code] = true end
    for code in text:match("\n## Trying again\n(.-)Nothing of it"):gmatch "`([%u_]+)`" do retried[code] = true end
    for code, entry in pairs(require("collegedb.errors").codes) do
      codes[code], retryable[code] = true, entry.retryable or nil
    end
    assert.same(codes, documented)
    assert.same(retryable, retried)
  end)
end)

describe("the manual's index", function()
  it("has every page", function()
    local index, missing = assert(process.read "docs/README.md"), {}
    for _, page in ipairs(pages.list()) do
      local name = page:match "^docs/(.+)$"
      local is_page = name and name ~= "README.md" and name ~= "next.md" -- the notes of who is at work
      if is_page and not index:find("](" .. name, 1, true) then missing[#missing + 1] = page end
    end
    assert.same({}, missing)
  end)
end)

describe("the page on the architecture", function()
  it("names every folder of the source, and none that is not there", function()
    local section = assert(process.read "docs/architecture.md"):match "## Where it is in the source(.*)$"
    for path in section:gmatch "`([%l_]+/[%l_/]*)`" do
      assert(os.execute("test -d " .. path), path)
    end
    local pipe <close> = assert(io.popen "ls -d src/*/ lua/*/ */ | grep -v '^build/\\|^docs/\\|^packaging/'")
    for folder in pipe:lines() do
      assert(section:find("`" .. folder, 1, true), "docs/architecture.md does not say what is in " .. folder)
    end
  end)
end)

describe("the page for who knows the TypeScript library", function()
  -- All that its README names.
  local there <const> = { "initialize", "createSchema", "insert", "selectByPrimaryKey", "updateByPrimaryKey",
    "deleteByPrimaryKey", "reassignShard", "listKnownShards", "getShardStats", "autoDetectAndMigrate",
    "checkMigrationNeeded", "validateTableForSharding", "discoverExistingPrimaryKeys", "integrateExistingDatabase",
    "createMappingsForExistingKeys", "listTables", "clearMigrationCache", "KVShardMapper", "clearAllMappings",
    "kv", "coordinator", "ShardCoordinator", "shards", "strategy", "hash", "round-robin", "random", "tables",
    "primaryKeyColumn", "addShardMappingsTable", "dryRun", "success", "totalRecords", "tablesProcessed", "issues",
    "isValid", "recordCount", "binding", "count" }
  local text = assert(process.read "docs/typescript.md")

  it("has everything that is there", function()
    local missing = {}
    for _, name in ipairs(there) do
      if not text:find("%f[%w]" .. name:gsub("%-", "%%-") .. "%f[%W]") then missing[#missing + 1] = name end
    end
    assert.same({}, missing)
  end)

  it("names only what is here", function()
    local files, types = require("spec.support.annotations").read_all()
    local known = {}
    for _, type in pairs(types) do
      for _, field in ipairs(type.fields or {}) do known[field.name] = true end
    end
    for _, file in ipairs(files) do
      for _, each in ipairs(file.functions) do known[each.name] = true end
    end
    local unknown = {}
    for ours in text:gmatch "\n| [^|\n]+ | ([^|\n]+) |" do
      for code in ours:gmatch "`([^`]+)`" do
        local name = code:match "^%l+[:.]([%w_]+)" or code:match "^([%l_]+)$" or code:match "^([%l_]+) = "
        if name and not known[name] then unknown[#unknown + 1] = code end
      end
    end
    assert.same({}, unknown)
  end)
end)

describe("the README", function()
  it("names every command", function()
    local table_of = assert(process.read "README.md"):match "\n| command | does |\n(.-)\n\n"
    local pipe <close> = assert(io.popen "ls scripts/*.lua")
    for path in pipe:lines() do
      local name = path:match "([%w_]+)%.lua$"
      assert(table_of:find("`" .. name .. "%f[%W]"), "README.md does not name the command " .. name)
    end
  end)
end)
