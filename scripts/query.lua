-- collegedb query: one statement, on the shard of a key, on a named shard, or on all.

local collegedb = require "collegedb"
local core = require "collegedb.core"

-- The column that tells the shards apart; parentheses keep it from hiding a column of the statement.
local shard_column <const> = "(shard)"

---A parameter as SQL should see it: `null` is NULL, an integer written in the usual way is an integer.
local function parameter(text, as_text)
  if as_text then return text end
  if text == "null" then return collegedb.null end
  local integer = math.tointeger(text)
  return integer and tostring(integer) == text and integer or text
end

---@return string? key, string sql, table params
local function read_words(ctx)
  local words, key = ctx.args.statement, nil
  if ctx.args.shard and ctx.args.all then ctx.usage_error "either --shard or --all" end
  if not (ctx.args.shard or ctx.args.all) then
    key = table.remove(words, 1)
    if #words == 0 then ctx.usage_error "a statement takes a KEY before it, or --shard NAME, or --all" end
  end
  local sql = table.remove(words, 1)
  for i, word in ipairs(words) do words[i] = parameter(word, ctx.args.text) end
  return key, sql, words
end

---The key as the router takes it: with --keyspace, one of the statement's table.
local function routed_key(ctx, key, sql)
  if not ctx.args.keyspace then return key end
  local table_name = core.scan(sql).table
  if not table_name then ctx.usage_error "--keyspace needs a statement about a table" end
  return ctx.db:key(table_name, key, ctx.args.keyspace)
end

local function print_result(ctx, result)
  if #result.columns > 0 then
    ctx.print_table(result.results, result.columns)
  else
    print(("%d changed on %s"):format(result.meta.changes, result.meta.served_by))
  end
end

---The results of all shards as one.
local function print_results(ctx, results)
  local names, rows, columns, changes = {}, {}, { shard_column }, 0
  for name in pairs(results) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local result = results[name]
    if #columns == 1 then table.move(result.columns, 1, #result.columns, 2, columns) end
    for _, row in ipairs(result.results) do
      row[shard_column] = name
      rows[#rows + 1] = row
    end
    changes = changes + result.meta.changes
  end
  if #columns > 1 then
    ctx.print_table(rows, columns)
  else
    print(("%d changed on %d shards"):format(changes, #names))
  end
end

return {
  summary = "Run a statement on the shard of a key, on a named shard, or on all.",
  usage = "query [KEY] SQL [PARAM…] [--shard NAME | --all] [--keyspace K] [--text]",
  group = "Keys and rows",
  examples = {
    { "collegedb query ada@example.com 'SELECT * FROM customers WHERE email = ?' ada@example.com",
      "On the shard of the key." },
    { "collegedb query ada@example.com 'UPDATE customers SET name = ? WHERE email = ?' Ada ada@example.com",
      "The same with parameters." },
    { "collegedb query --shard west 'SELECT count(*) AS n FROM customers'", "On one shard, past the router." },
    { "collegedb query --all 'SELECT count(*) AS n FROM orders'", "On every shard." },
  },
  auto_migrate = false,
  description = "A PARAM `null` is NULL, an integer is one; with --text each is text. "
    .. "Write -- before a PARAM that begins with a dash.",
  options = function(parser)
    parser:argument("statement", "KEY (not with --shard or --all), SQL, PARAM…"):args "+"
    parser:option("--shard", "Run it on this shard; there is no KEY then."):argname "NAME"
    parser:flag("--all", "Run it on every shard; there is no KEY then.")
    parser:option("--keyspace", "The shard's keyspace that KEY is of."):argname "K"
    parser:flag("--text", "Take every PARAM as text.")
  end,
  run = function(ctx)
    local key, sql, params = read_words(ctx)
    if ctx.args.all then
      local done, answer = pcall(ctx.db.run_all_shards, ctx.db, sql, params)
      local results = done and answer or type(answer) == "table" and answer.results
      if not done and ctx.args.json then error(answer, 0) end -- which has the results
      if results and next(results) then
        if ctx.args.json then ctx.print_json(results) else print_results(ctx, results) end
      end
      if not done then error(answer, 0) end
      return 0
    end
    local result
    if ctx.args.shard then
      result = ctx.db:shard(ctx.args.shard):run(sql, params)
    else
      result = ctx.db:run(routed_key(ctx, key, sql), sql, params)
    end
    if ctx.args.json then ctx.print_json(result) else print_result(ctx, result) end
    return 0
  end,
}
