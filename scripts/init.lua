-- collegedb init: a config and empty shards to begin with.

local errors = require "collegedb.errors"
local file_errors = require "collegedb.file_errors"
local host = require "collegedb.host"

local template = [[
-- What collegedb.open takes. Paths are relative to the folder in which the program is started.
return {
  kv = "directory.db",
  shards = {
%s  },
}
]]

local function write(path, text)
  local file <close>, _, code = io.open(path, "w")
  local done = file ~= nil
  if file then done, _, code = file:write(text) end
  if done then done, _, code = file:close() end
  if not done then file_errors.raise(path, code) end
end

local function make_folder(path)
  local done, _, code = host.make_folder(path)
  if not done then file_errors.raise(path, code) end
end

return {
  summary = "Write a config and empty shards.",
  usage = "init [--shards N] [--dry-run] [DIR]",
  group = "Set up",
  examples = {
    { "collegedb init", "A config and two empty shards in this folder." },
    { "collegedb init --shards 4 data", "A config and four of them in the folder data." },
    { "collegedb init --dry-run", "Only the names of the files that would be written." },
  },
  options = function(parser)
    parser:argument("dir", "The folder to write them to; this one, if none is named."):args "?"
    parser:option("--shards", "How many shards."):argname "N":default "2":convert(math.tointeger)
    parser:flag("--dry-run", "Only say what would be written.")
  end,
  run = function(ctx)
    local count, dir = ctx.args.shards, ctx.args.dir or "."
    if count < 1 or count > 1000 then ctx.usage_error "--shards takes a number from 1 to 1000" end
    local lines, shards = {}, {}
    local config_path = dir .. "/collegedb.lua"
    local kv = dir .. "/directory.db"
    local files = { config_path, kv }
    for i = 1, count do
      local name = "shard-" .. i
      lines[i] = ("    { name = %q, %q },\n"):format(name, name .. ".db")
      shards[i] = { name = name, dir .. "/" .. name .. ".db" }
      files[#files + 1] = shards[i][1]
    end
    for _, path in ipairs(files) do
      if host.exists(path) then errors.raise("CONFIG", nil, "%s is there already; nothing was written", path) end
    end
    if not ctx.args.dry_run then
      make_folder(dir)
      require("collegedb").open({ kv = kv, shards = shards }):close()
      write(config_path, template:format(table.concat(lines)))
    end
    if ctx.args.json then
      ctx.print_json { files = files, written = not ctx.args.dry_run }
    else
      print((ctx.args.dry_run and "would write " or "wrote ") .. table.concat(files, ", "))
    end
    return 0
  end,
}
