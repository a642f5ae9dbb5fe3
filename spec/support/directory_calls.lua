-- Calls of a directory that specs of several kinds of directories make alike.

local calls = {}

---Registers shards, and returns their ids.
function calls.shards(dir, ...)
  local names, ids = { ... }, {}
  dir:change(function(tx)
    for i, name in ipairs(names) do
      ids[i] = tx:run("INSERT INTO _collegedb_shards (name, integrated) VALUES (?, 1)", { name }).meta.last_row_id
    end
    return true
  end)
  return table.unpack(ids)
end

---Changes single entries in each way.
---@param more fun(dir, a: integer, b: integer, i: integer, see: fun(...))? before each of three turns
---@return table seen all that came out
---@return integer a, integer b the shards
function calls.single(dir, more)
  local a, b = calls.shards(dir, "a", "b")
  local epoch, seen = dir:epoch(), {}
  local function see(...) seen[#seen + 1] = { ... } end
  see(dir:claim("", "k", a, epoch))
  see(dir:claim("", "k", b, epoch))
  see(dir:replace("", "k", 1, b))
  see(dir:replace("", "k", 1, a))
  see(dir:replace("", "new", nil, a))
  see(dir:correct("", "k", 2, a))
  see(dir:forget("", "k"))
  see(dir:forget("", "k"))
  for i = 1, 3 do
    if more then more(dir, a, b, i, see) end
    local turns <close> = dir:turns()
    local turn = turns:take "t"
    -- Whether it was done is not told here: the router looks again, and finds the entry.
    turns:claim("", "t" .. i, turn % 2 == 0 and a or b, dir:epoch())
    see(turn, dir:lookup("", "t" .. i))
  end
  return seen, a, b
end

---Changes many entries in each way.
---@return table # all that came out
function calls.many(dir)
  local a, b = calls.shards(dir, "a", "b")
  local seen = {}
  local function see(...) seen[#seen + 1] = { ... } end
  local list = { { keyspace = "", text = "x", id = a }, { keyspace = "posts", text = "1", id = a } }
  see(dir:assign(list, true))
  list[3] = { keyspace = "", text = "y", id = b }
  see(dir:assign(list, true))
  see(dir:assign(list, false))
  dir:publish("", { "p", "q" }, a, 5)
  dir:publish_all { { keyspace = "", text = "p", id = b, version = 9 },
    { keyspace = "", text = "q", id = b, version = 0 } }
  see(dir:discard(b))
  dir:add_names { "n1" }
  dir:set_names { "n2" }
  see((dir:change(function(tx)
    dir:drop(tx, b)
    tx:run("UPDATE _collegedb_shards SET drained = 2 WHERE id = ?", { b })
    return true
  end)))
  see(dir:counts())
  see(dir:discard())
  return seen
end

return calls
