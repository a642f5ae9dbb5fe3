-- After the first SIGTERM a command took no notice of another, and one that waited for a pipe to be opened could not be
-- ended by it at all.

local process = require "spec.support.process"

describe("regression 427:", function()
  local folder
  before_each(function() folder = process.new_folder() end)
  after_each(function() process.remove(folder) end)

  -- Starts the command, sends the signals, and says how it ended.
  local function ended(words, signals)
    local script = ([[
      rm -f started; %s %s >out 2>err & pid=$!
      for i in $(seq 100); do [ -s started ] && break; sleep 0.05; done
      %s
      for i in $(seq 100); do kill -0 $pid 2>/dev/null || break; sleep 0.05; done
      kill -0 $pid 2>/dev/null && { kill -9 $pid; echo it goes on; }
      wait $pid; echo $?]]):format(process.quote(process.collegedb), words, signals)
    return process.run({ "bash", "-c", script }, { folder = folder, env = { COLLEGEDB_PATH = "." } }).stdout
  end

  it("a later SIGTERM ends what the first one did not", function()
    process.write(folder .. "/deaf.lua", [[
      io.open("started", "w"):write("yes"):close()
      return { run = function() while true do pcall(function() while true do end end) end end }]])
    assert.equal("143\n", ended("deaf", "kill $pid; sleep 1.3; kill $pid"))
    assert.equal("137\n", ended("deaf", "kill $pid; kill $pid; sleep 0.3; kill $pid"):match "%d+\n$")
  end)

  it("help and completion wait for no pipe", function()
    os.execute("mkfifo " .. folder .. "/pipe.lua")
    local opts = { folder = folder, env = { COLLEGEDB_PATH = "." }, timeout = 5 }
    assert.matches("\npipe +broken: %./pipe.lua is no file", process.run({ process.collegedb, "help" }, opts).stdout)
    local words = { process.collegedb, "completion", "--words", "5", "--", "collegedb", "query", "--config", "pipe.lua",
      "--shard", "" }
    assert.same({ 0, "" }, { process.run(words, opts).status, process.run(words, opts).stdout })
  end)

  it("one ends a command that waits for a pipe", function()
    os.execute("mkfifo " .. folder .. "/pipe.lua")
    assert.equal("130\n", ended("status --config pipe.lua", "sleep 0.5; kill $pid"))
  end)
end)
