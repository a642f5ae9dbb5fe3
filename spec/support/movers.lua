-- Movers that die on the way: another process moves a key and is killed right after a step.

local fixture = require "spec.support.fixture"

local movers = {}

---Lets a process die after a step of a move of one key of the global keyspace, from shard to shard of fixture.config().
---@param names string[]? the shards, as of fixture.config
function movers.die(key, step, source, target, names)
  local shards = {}
  for i, name in ipairs(names or { "a", "b" }) do
    shards[i] = ("{ name = %q, folder .. %q }"):format(name, "/" .. name .. ".db")
  end
  local pipe = fixture.spawn(([[
    local core, move = require "collegedb.core", require "collegedb.workflows.move"
    local db = collegedb.open { kv = folder .. "/directory.db", auto_migrate = false, shards = { %s } }
    local state = core.state(db)
    move.run(state, { keyspace = "", keys = { %q }, source = state.by_name[%q], target = state.by_name[%q],
      on_step = function(name)
        if name == %q then os.execute("kill -9 " .. io.open("/proc/self/stat"):read "n") end
      end })]]):format(table.concat(shards, ", "), key, source, target, step))
  pipe:read "a"
  pipe:close()
end

---Lets the leases of all movers run out.
function movers.expire() fixture.rows("directory.db", "UPDATE _collegedb_moves SET lease = 0") end

---As if the movers held no lock, such as those between databases: only their leases tell whether they live.
function movers.unlock() fixture.rows("directory.db", "UPDATE _collegedb_moves SET lock = NULL") end

return movers
