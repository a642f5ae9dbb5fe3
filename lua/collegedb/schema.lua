--- Giving shards their tables.

local errors = require "collegedb.errors"

local schema = {}

local function check_sql(sql)
  if type(sql) ~= "string" or not sql:find "%S" then
    errors.raise("USAGE", nil, "the schema is SQL text, not %s", type(sql) == "string" and "''" or type(sql))
  end
end

--- Runs a script on one shard, all of it or nothing.
function schema.apply(shard, sql)
  check_sql(sql)
  shard.handle:transaction(function(tx) tx:exec(sql) end)
end

-- Tables first, then what refers to them; shadow tables come with their virtual table.
local READ = [[SELECT s.sql FROM sqlite_schema AS s LEFT JOIN pragma_table_list AS t
  ON t.name = s.name AND t.schema = 'main' AND s.type = 'table'
  WHERE s.sql IS NOT NULL AND substr(s.name, 1, 7) <> 'sqlite_' AND substr(s.name, 1, 11) <> '_collegedb_'
  AND coalesce(t.type, '') <> 'shadow'
  ORDER BY CASE s.type WHEN 'table' THEN 1 WHEN 'index' THEN 2 WHEN 'view' THEN 3 ELSE 4 END, s.rowid]]

--- The SQL that makes the tables of a shard, or nil if it has none.
function schema.read(handle)
  local parts = {}
  for row in handle:each(READ) do parts[#parts + 1] = row.sql end
  return #parts > 0 and table.concat(parts, ";\n") .. ";" or nil
end

--- Gives `target` the schema of the first of `shards` that has one.
function schema.copy(shards, target)
  for _, shard in ipairs(shards) do
    local sql = shard ~= target and schema.read(shard.handle)
    if sql then return schema.apply(target, sql) end
  end
  errors.raise("USAGE", { shard = target.name }, "no other shard has tables to copy: give create_schema the SQL")
end

--- Runs a script on every shard and remembers it for shards that come later.
function schema.ensure(state, sql)
  check_sql(sql)
  local done = {}
  for _, shard in ipairs(state.shards) do
    local applied, err = pcall(schema.apply, shard, sql)
    if not applied then
      if errors.is_error(err) then
        err.shard, err.applied = err.shard or shard.name, done
        if err.message:find "already exists" then
          err.message = err.message .. "; write CREATE TABLE IF NOT EXISTS, so that it can be run again"
        end
        if #done > 0 then err.message = ("%s (done before on %s)"):format(err.message, table.concat(done, ", ")) end
      end
      error(err, 0)
    end
    done[#done + 1] = shard.name
  end
  state.directory.shard:run("INSERT INTO _collegedb_schema (sql) VALUES (?) ON CONFLICT DO NOTHING", { sql })
end

--- Gives new shards every schema that was ensured before.
function schema.welcome(state)
  for _, shard in ipairs(state.shards) do
    if shard.is_new then
      for row in state.directory.shard:each "SELECT sql FROM _collegedb_schema ORDER BY id" do
        schema.apply(shard, row.sql)
      end
    end
  end
end

return schema
