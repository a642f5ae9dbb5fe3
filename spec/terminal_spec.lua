-- What commands show on a terminal, and that nothing of it shows elsewhere.

local process = require "spec.support.process"
local terminal = require "collegedb.terminal"

-- Runs Lua in our interpreter on a terminal of 40 columns.
local function on_terminal(source, env)
  local folder = process.new_folder()
  process.write(folder .. "/t.lua", 'local terminal = require "collegedb.terminal"\n' .. source)
  local line = ("stty cols 40; %s %s"):format(process.quote(process.collegedb), folder .. "/t.lua")
  local words = { "script", "-qec", line, "/dev/null" }
  local settings = { TERM = "xterm", NO_COLOR = false, COLUMNS = "77" }
  for name, value in pairs(env or {}) do settings[name] = value end
  local result = process.run(words, { env = settings })
  process.remove(folder)
  assert.equal(0, result.status, result.stdout)
  return (result.stdout:gsub("\r\n", "\n"))
end

local function in_locale(env, source)
  local settings = { LC_ALL = false, LC_CTYPE = false, LANG = false }
  for name, value in pairs(env) do settings[name] = value end
  return process.run({ process.collegedb, "-e", source }, { env = settings }).stdout
end

describe("the terminal", function()
  it("shows colours where there is one that has them, unless NO_COLOR says no", function()
    local source = "io.write(terminal.paint('x', 'red'), terminal.paint('y', 'bold'), terminal.paint('z', 'dim'))"
    local coloured = "\27[31mx\27[0m\27[1my\27[0m\27[2mz\27[0m"
    assert.equal(coloured, on_terminal(source))
    assert.equal(coloured, on_terminal(source, { NO_COLOR = "" }))
    assert.equal("xyz", on_terminal(source, { NO_COLOR = "1" }))
    assert.equal("xyz", on_terminal(source, { TERM = "dumb" }))
    assert.equal("x", terminal.paint("x", "green"))
    assert.equal("x", terminal.paint("x", "green", "stderr"))
    assert.has_error(function() terminal.paint("x", "pink") end)
  end)

  it("says how wide it is", function()
    assert.equal("40", on_terminal "io.write(terminal.width(), terminal.is_terminal() and '' or 'none')")
    local function elsewhere(columns)
      return process.run({ process.collegedb, "-e", "print(require 'collegedb.terminal'.width())" },
        { env = { COLUMNS = columns } }).stdout
    end
    assert.equal("77\n", elsewhere "77")
    assert.equal("80\n", elsewhere(false))
    assert.equal("80\n", elsewhere "many")
    assert.equal("80\n", elsewhere "-3")
  end)

  it("draws bars of the locale's characters", function()
    local source = "local t = require 'collegedb.terminal' for _, s in ipairs { 0, 0.5, 1, 7, -1, 0/0 } do "
      .. "io.write(t.bar(s, 4), ' ') end"
    assert.equal(".... ##.. #### #### .... .... ", in_locale({}, source))
    assert.equal(".... ##.. #### #### .... .... ", in_locale({ LC_ALL = "C", LANG = "en_GB.UTF-8" }, source))
    assert.equal("░░░░ ██░░ ████ ████ ░░░░ ░░░░ ", in_locale({ LANG = "en_GB.UTF-8" }, source))
    assert.equal("░░░░ ██░░ ████ ████ ░░░░ ░░░░ ", in_locale({ LC_ALL = "", LC_CTYPE = "C.utf8" }, source))
  end)

  it("says sizes and times in words", function()
    for bytes, text in pairs { [0] = "0 B", [1023] = "1023 B", [1024] = "1.0 KiB", [1572864] = "1.5 MiB",
      [3 << 30] = "3.0 GiB", [5 << 41] = "10.0 TiB" } do
      assert.equal(text, terminal.size_text(bytes))
    end
    for seconds, text in pairs { [0] = "0 µs", [0.00082] = "820 µs", [0.0012] = "1.2 ms", [0.012] = "12 ms",
      [0.9996] = "1.0 s", [3.4] = "3.4 s", [42] = "42 s", [59.7] = "1 min 0 s", [130] = "2 min 10 s",
      [3599.6] = "1 h 0 min", [11100] = "3 h 5 min", [187200] = "2 d 4 h" } do
      assert.equal(text, terminal.duration_text(seconds))
    end
  end)

  it("cuts lines between characters", function()
    assert.equal("äö", terminal.cut("äöü", 2))
    assert.equal("äöü", terminal.cut("äöü", 3))
    assert.equal("", terminal.cut("äöü", 0))
    assert.equal("\255x", terminal.cut("\255xy", 2))
  end)
end)
