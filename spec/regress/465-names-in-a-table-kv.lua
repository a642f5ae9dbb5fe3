-- Found by fuzzing: a value in a table KV whose name only looks like that of an entry raised an error of Lua's own when
-- the keys of a shard were asked for.

local kv_directory = require "collegedb.kv_directory"
local table_kv = require "spec.support.table_kv"

describe("regression 465:", function()
  it("a name that is no entry's tells no key", function()
    local names = { "keyspace:", "keyspace:x", "keyspace:1:u", "keyspace:1:u:", "keyspace:9:u:17",
      "keyspace:99999999999999999999:u:1", "shard:", "shard:" .. ("x"):rep(600), "shard:ada" }
    local data = {}
    for _, name in ipairs(names) do data[name] = '{"shard":"a"}' end
    local directory = kv_directory.open(table_kv.memory(data), nil, { hash_shard_mappings = false })
    local keys, untold = directory:keys_of "a"
    assert.same({ "ada" }, keys)
    assert.equal(#names - 1, untold)
    directory:close()
  end)
end)
