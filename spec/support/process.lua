-- Runs programs in specs and takes down what they print.

local process = {}

---The build folder that is under test.
process.build = os.getenv "CDB_BUILD" or "build"
---Our interpreter.
process.collegedb = process.build .. "/collegedb"

---@param text string
---@return string # one word for the shell
function process.quote(text)
  return "'" .. text:gsub("'", [['\'']]) .. "'"
end

---A new empty folder; the caller removes it with process.remove.
---@return string path
function process.new_folder()
  local pipe <close> = assert(io.popen "mktemp -d")
  return assert(pipe:read "l")
end

---@param folder string one that process.new_folder made
function process.remove(folder)
  assert(folder:find "^/tmp/" or folder:find "/tmp%.", folder)
  os.execute("rm -rf " .. process.quote(folder))
end

---@param path string
---@param text string
function process.write(path, text)
  local file <close> = assert(io.open(path, "w"))
  assert(file:write(text))
end

---@param path string
---@return string? text nil if there is no such file
function process.read(path)
  local file <close> = io.open(path, "rb")
  return file and file:read "a"
end

---@class process.Result
---@field status integer exit status; 128 + n for signal n
---@field stdout string
---@field stderr string

---Runs a command of words. Bounded: after `timeout` seconds (20) it is ended, with status 124.
---@param words string[]
---@param opts? { folder?: string, env?: table<string, string|false>, timeout?: integer, input?: string }
---@return process.Result
function process.run(words, opts)
  opts = opts or {}
  local folder = process.new_folder()
  -- A preloaded sanitizer is for the Lua that runs the specs, not for what it starts.
  local line = { "env -u LD_PRELOAD -u LUA_INIT -u COLLEGEDB_PATH" }
  local settings = {}
  for name, value in pairs(opts.env or {}) do
    if value then
      settings[#settings + 1] = name .. "=" .. process.quote(value)
    else
      line[#line + 1] = "-u " .. name
    end
  end
  table.move(settings, 1, #settings, #line + 1, line)
  line[#line + 1] = ("timeout -k 2 %d"):format(opts.timeout or 20)
  for _, word in ipairs(words) do line[#line + 1] = process.quote(word) end
  process.write(folder .. "/in", opts.input or "")
  local command = ("cd %s && %s <%s/in >%s/out 2>%s/err"):format(process.quote(opts.folder or "."),
    table.concat(line, " "), folder, folder, folder)
  local _, how, status = os.execute(command)
  local result = {
    status = how == "signal" and 128 + status or status,
    stdout = process.read(folder .. "/out"),
    stderr = process.read(folder .. "/err"),
  }
  process.remove(folder)
  return result
end

return process
