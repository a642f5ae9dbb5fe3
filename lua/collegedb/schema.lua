--- Giving shards their tables.

local catalog = require "collegedb.catalog"
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

-- Tables first, then what refers to them.
local READ = [[SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL
  AND substr(name, 1, 7) <> 'sqlite_' AND substr(name, 1, 11) <> '_collegedb_'
  ORDER BY CASE type WHEN 'table' THEN 1 WHEN 'index' THEN 2 WHEN 'view' THEN 3 ELSE 4 END, rowid]]

--- The SQL that makes the tables of a shard, or nil if it has none.
function schema.read(shard)
  local parts, shadow = {}, {}
  for _, each in ipairs(catalog.list(shard)) do shadow[each.name] = each.kind == "shadow" end
  for row in shard:each(READ) do
    -- Shadow tables come with their virtual table.
    if not shadow[row.name] then parts[#parts + 1] = row.sql end
  end
  return #parts > 0 and table.concat(parts, ";\n") .. ";" or nil
end

--- Gives `target` the schema of the first of `shards` that has one.
function schema.copy(shards, target)
  for _, shard in ipairs(shards) do
    local sql = shard ~= target and schema.read(shard.inner)
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
  state.directory.shard:transaction(function(tx)
    tx:run("INSERT INTO _collegedb_schema (sql) VALUES (?) ON CONFLICT DO NOTHING", { sql })
    for _, shard in ipairs(state.shards) do schema.mark(tx, shard) end
  end)
end

--- Records that a shard has every schema that was ensured so far.
function schema.mark(tx, shard)
  tx:run("UPDATE _collegedb_shards SET schema = (SELECT coalesce(max(id), 0) FROM _collegedb_schema) WHERE id = ?",
    { shard.id })
end

--- Gives shards that came later every schema that was ensured before.
function schema.welcome(state)
  for _, shard in ipairs(state.shards) do
    local missing = state.directory.shard:all([[SELECT sql FROM _collegedb_schema WHERE id >
      (SELECT schema FROM _collegedb_shards WHERE id = ?) ORDER BY id]], { shard.id })
    for _, row in ipairs(missing) do schema.apply(shard, row.sql) end
    if #missing > 0 then schema.mark(state.directory.shard, shard) end
  end
end

return schema
