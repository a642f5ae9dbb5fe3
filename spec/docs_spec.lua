-- The code of the documentation runs, and prints what the page says: see spec/support/pages.lua. All blocks of a page
-- run in one new folder in which the two shops' databases of the demo lie, east.db and west.db.

local engine = require "spec.support.engine"
local pages = require "spec.support.pages"
local process = require "spec.support.process"
local runner = require "spec.support.page_runner"

local root, build = pages.root, pages.build
local collegedb = build .. "/collegedb"

local function lines_of(command)
  local list = {}
  local pipe <close> = assert(io.popen(command))
  for line in pipe:lines() do list[#list + 1] = line end
  return list
end

describe("the documentation", function()
  local folder

  local function build_shops()
    process.write(folder .. "/.make.lua", ([[
      package.path = %q .. "/examples/demo/?.lua;" .. package.path
      local shops = require "shops"
      shops.build { path = "east.db", domain = "east.example", customers = 40, orders = 30, items = { "a lamp" } }
      shops.build { path = "west.db", domain = "west.example", customers = 24, orders = 20, items = { "a pan" } }
    ]]):format(root))
    local made = process.run({ collegedb, "./.make.lua" }, { folder = folder })
    assert.equal("", made.stderr)
  end

  -- Without Cloudflare's engine.
  local function skip(why)
    assert(not os.getenv "CI", why)
    pending(why)
  end

  before_each(function() folder = process.new_folder() end)

  after_each(function()
    runner.stop(folder)
    process.remove(folder)
  end)

  for _, page in ipairs(pages.list()) do
    local blocks = pages.blocks(page)
    local runs, with_gateway = false, false
    for _, block in ipairs(blocks) do
      runs, with_gateway = runs or runner.runs(block), with_gateway or block.how == "gateway"
    end
    if runs and page ~= "README.md" and page ~= "docs/tutorial.md" then
      it("has code that runs: " .. page, function()
        local missing = with_gateway and engine.missing()
        if missing then return skip(missing) end
        build_shops()
        runner.run(blocks, folder)
      end)
    end
  end

  -- These two begin with nothing, and set everything up as their reader does.
  for _, page in ipairs { "README.md", "docs/tutorial.md" } do
    it("leads from an empty folder: " .. page, function()
      if build ~= root .. "/build" then return pending "they use the folder build" end
      local missing = page == "docs/tutorial.md" and engine.missing()
      if missing then return skip(missing) end
      runner.run(pages.blocks(page), folder, { ADDRESS = root, ["8787"] = tostring(runner.free_port()) })
    end)
  end
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
