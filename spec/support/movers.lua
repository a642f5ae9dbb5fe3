-- Movers that die on the way: another process moves a key and is killed right after a step.

local fixture = require "spec.support.fixture"

local movers = {}

-- Another process moves a key of the global keyspace, and does something when a step is done.
local function spawn(key, step, source, target, names, action)
  local shards = {}
  for i, name in ipairs(names or { "a", "b" }) do
    shards[i] = ("{ name = %q, folder .. %q }"):format(name, "/" .. name .. ".db")
  end
  return fixture.spawn(([[
    local core, move = require "collegedb.core", require "collegedb.workflows.move"
    local db = collegedb.open { kv = folder .. "/directory.db", auto_migrate = false, shards = { %s } }
    local state = core.state(db)
    move.run(state, { keyspace = "", keys = { %q }, source = state.by_name[%q], target = state.by_name[%q],
      on_step = function(name)
        if name == %q then %s end
      end })
    db:close()]]):format(table.concat(shards, ", "), key, source, target, step, action))
end

---Lets a process die after a step of a move of one key of the global keyspace, from shard to shard of fixture.config().
---@param names string[]? the shards, as of fixture.config
function movers.die(key, step, source, target, names)
  local pipe = spawn(key, step, source, target, names,
    [[os.execute("kill -9 " .. io.open("/proc/self/stat"):read "n")]])
  pipe:read "a"
  pipe:close()
end

---The same for one that lives: it has done the step when this returns, and rests for some time before the next.
---@param ms integer
---@return file* pipe to be closed
function movers.pause(key, step, source, target, ms, names)
  local pipe = spawn(key, step, source, target, names, ("print(name) io.stdout:flush() core.pause(%d)"):format(ms))
  assert(pipe:read "l" == step, "the other program did not come as far")
  return pipe
end

---Lets the leases of all movers run out.
function movers.expire() fixture.rows("directory.db", "UPDATE _collegedb_moves SET lease = 0") end

---As if the movers held no lock, such as those between databases: only their leases tell whether they live.
function movers.unlock() fixture.rows("directory.db", "UPDATE _collegedb_moves SET lock = NULL") end

return movers
