--- What is published against the directory; a part of verify.

local catalog = require "collegedb.catalog"
local reports = require "collegedb.verify_report"

local verify_published = {}

local function add(run, index, found, key, id, there)
  local state = run.state
  local name = state.directory:name_of(id)
  local value = catalog.key_value(found.keyspace, key.text)
  if run.repair then
    state.directory:note_difference(key.keyspace, key.text, id, there)
    return reports.repaired(run.report, "%s of %s was published: it is on %s", key.text, found.name, name)
  end
  local advice = ("publish that it is on %s: verify with repair, or db:publish()"):format(name)
  reports.add(run.report, { kind = "unpublished", key = value, table = found.name, shard = state.shards[index].name,
    other_shard = there or nil, advice = advice })
end

--- Runs `f`, which checks a page of keys of a column, and compares them with what is published, if that is so.
---@param run table of lua/collegedb/workflows/verify.lua
---@param found collegedb.Table
---@param keys { keyspace: string, text: string }[]
---@param f fun()
function verify_published.page(run, index, found, keys, f)
  local directory = run.state.directory
  if not directory.ask then return f() end
  directory:foretelling(keys, function(foretold)
    f()
    require("collegedb.published_keys").compare(run.state, index, keys, foretold, function(key, id, there)
      add(run, index, found, key, id, there)
    end)
  end)
  if run.repair then directory:flush_all() end
end

return verify_published
