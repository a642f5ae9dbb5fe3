-- Completion in the shells themselves: they are asked what Tab would offer.

local process = require "spec.support.process"
local shop = require "spec.support.shop"

local own <const> = process.collegedb:match "^(.*)/[^/]*$"

-- Asks the function that `complete -F` named, as bash does at Tab. The last word is the one that is completed.
local BASH <const> = [[
  eval "$(collegedb completion bash)"
  COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
  name=$(complete -p collegedb | sed 's/.*-F \([^ ]*\).*/\1/')
  "$name" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
  printf '%s\n' "${COMPREPLY[@]}"
]]

-- With what only exists inside of zle in place of it.
local ZSH <const> = [[
  compdef() { registered=$1 }
  compadd() { [ "$1" = -- ] && shift; print -rl -- ${(M)@:#${words[CURRENT]}*} }
  _files() { print -rl -- ${words[CURRENT]}*(N) }
  eval "$(collegedb completion zsh)"
  words=("$@") CURRENT=$#
  $registered
]]

local function has(program) return os.execute("command -v " .. program .. " >/dev/null") end

for shell, script in pairs { bash = BASH, zsh = ZSH } do
  describe("completion in " .. shell, function()
    local folder
    before_each(function()
      folder = process.new_folder()
      shop.make(folder, 1)
      process.write(folder .. "/mine.lua", [[return { summary = "x",
        options = function(parser)
          parser:argument "colour":choices { "red", "green" }
          parser:option "--output":argname "FILE"
        end, run = print }]])
      process.write(folder .. "/plain.lua", "local f = io.open('ran', 'w') f:close()")
    end)
    after_each(function() process.remove(folder) end)

    local function offered(...)
      if not has(shell) and not os.getenv "CI" then return nil end
      local words = { shell, "-c", script, shell, "collegedb", ... }
      if shell == "zsh" then table.insert(words, 2, "-f") end
      local result = process.run(words, { folder = folder,
        env = { PATH = own .. ":" .. os.getenv "PATH", COLLEGEDB_PATH = "." } })
      assert.equal("", result.stderr)
      local list = {}
      for line in result.stdout:gmatch "[^\n]+" do list[#list + 1] = line end
      table.sort(list)
      return list
    end

    local function offers(expected, ...)
      local list = offered(...)
      if not list then return pending(shell .. " is not installed") end
      assert.same(expected, list, table.concat({ ... }, " "))
    end

    it("offers commands, also a user's own", function()
      offers({ "init", "integrate" }, "in")
      offers({ "mine", "mine.lua" }, "mi")
      offers({ "integrate" }, "help", "inte")
      offers({ "integrate" }, "--config", "collegedb.lua", "inte")
    end)

    it("offers options", function()
      offers({ "--repair" }, "verify", "--rep")
      offers({ "--rate" }, "verify", "--repair", "--ra")
      offers({ "--output" }, "mine", "--o")
      offers({ "--version" }, "--v")
      offers({ "--config", "--help", "--json", "--keyspace", "--table" }, "locate", "x", "--")
    end)

    it("offers shards, files and choices where those are meant", function()
      offers({ "east", "west" }, "drain", "")
      offers({ "west" }, "integrate", "east", "w")
      offers({ "east" }, "move", "ada@example.com", "e")
      offers({ "east", "west" }, "query", "--shard", "")
      offers({}, "move", "e")
      offers({ "east.db" }, "add", "north", "eas")
      offers({ "collegedb.lua" }, "status", "--config", "col")
      offers({ "green" }, "mine", "g")
      if shell == "bash" then -- which takes such a word apart
        offers({ "collegedb.lua" }, "status", "--config", "=", "col")
        offers({ "east", "west" }, "query", "--shard", "=")
      else
        offers({ "--shard=east", "--shard=west" }, "query", "--shard=")
      end
      offers({ "east.db" }, "mine", "--output", "ea")
      offers({ "bash" }, "completion", "ba")
    end)

    it("makes no file, opens none, and runs no script", function()
      offered "drain" -- a word that is complete
      offered("drain", "")
      offered("plain", "--")
      local pipe <close> = assert(io.popen("ls " .. folder))
      assert.equal("collegedb.lua east.db mine.lua plain.lua west.db", (pipe:read "a":gsub("\n$", ""):gsub("\n", " ")))
    end)

    it("quotes, and is not confused by what a config does", function()
      process.write(folder .. "/collegedb.lua", [[print "noise" io.write "noise\n"
        return { kv = "d.db", shards = { ["my east"] = "a.db", ["my *"] = "b.db" } }]])
      offers(shell == "bash" and { "my\\ \\*", "my\\ east" } or { "my *", "my east" }, "drain", "m")
      process.write(folder .. "/collegedb.lua", [[os.execute "touch made" io.open("made", "w"):close()
        local collegedb = require "collegedb"
        local db = collegedb.open { kv = "made.db", shards = { a = "b.db" } }
        require("os").execute "touch made"
        return { kv = "d.db", shards = { west = collegedb.d1 { token = io.open "t":read "a" .. "" } } }]])
      offers({ "west" }, "drain", "")
      assert.is_nil(process.read(folder .. "/made"))
      assert.is_nil(process.read(folder .. "/made.db"))
      process.write(folder .. "/collegedb.lua", "error 'no'")
      offers({}, "drain", "")
      process.write(folder .. "/collegedb.lua", "while true do end")
      offers({}, "drain", "")
    end)
  end)
end

it("completion takes the name of a shell that it knows", function()
  for _, words in ipairs { { "completion" }, { "completion", "fish" }, { "completion", "bash", "zsh" } } do
    local result = process.run { process.collegedb, table.unpack(words) }
    assert.equal(2, result.status)
    assert.equal("collegedb completion: takes the name of a shell: bash or zsh\n", result.stderr)
  end
end)
