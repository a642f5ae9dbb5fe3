-- Damages files as a bad disk, a broken copy or somebody who means harm does: by a seed, so that it can be repeated.

local core = require "collegedb.core"

local damage = {}

local PAGE <const> = 4096

---@param seed integer
---@return fun(n: integer): integer # from 1 to n
function damage.random(seed)
  local x = seed * 2654435761 + 12345
  local function random(n)
    x = x * 6364136223846793005 + 1442695040888963407
    return (x >> 33) % n + 1
  end
  random(7)
  return random
end

local function put(text, at, piece) return text:sub(1, at - 1) .. piece .. text:sub(at + #piece) end
local function byte(random) return string.char(random(256) - 1) end

-- Bytes at random places, `count` of them, each where `place` says.
local function scatter(text, random, count, place)
  for _ = 1, count do text = put(text, math.max(1, math.min(place(), #text)), byte(random)) end
  return text
end

local ways <const> = {
  function(text, random) return text:sub(1, random(#text) - 1) end,
  function(text, _, page) return put(text, page + 1, ("\0"):rep(PAGE)) end,
  function(text, random, page) -- an older page, or another's
    local other = (random(#text // PAGE) - 1) * PAGE
    return put(text, page + 1, text:sub(other + 1, other + PAGE))
  end,
  function(text, random, page) -- the header of the file, or of a page
    return scatter(text, random, random(12), function() return page + random(page == 0 and 120 or 16) end)
  end,
  function(text, random, page) -- pointers to cells
    return scatter(text, random, random(8), function() return page + 8 + random(60) end)
  end,
  function(text, random, page) -- records
    return scatter(text, random, random(30), function() return page + PAGE - random(600) end)
  end,
  function(text, random) return scatter(text, random, random(40), function() return random(#text) end) end,
  function(text, random, page)
    local noise = {}
    for i = 1, PAGE do noise[i] = byte(random) end
    return put(text, page + 1, table.concat(noise))
  end,
}

---@param text string a database file of pages of 4,096 bytes
---@param random fun(n: integer): integer
---@return string
function damage.bytes(text, random)
  return ways[random(#ways)](text, random, (random(#text // PAGE) - 1) * PAGE)
end

local values <const> = {
  core.null, -1, 0, 1, 2, math.maxinteger, math.mininteger, 1e308, 1 / 0, 0.5, "", "x", ("y"):rep(100000),
  core.blob "\0\255", ("["):rep(100000), ('{"a":'):rep(5000), '{"path":1}', "{}", "null", '{"path":"../../x/y.db"}',
  '{"d1":{"gateway":"http://127.0.0.1:9/","binding":"../x","ca_file":5}}', '{"path":"x\0y"}', '{"$blob":5}', "a", "b",
  "k1", "sent", "tomb", "sending", "receiving", "active", "hash", "claims", "\27]0;x\7", "'; DROP TABLE users; --",
}

local TABLES <const> = "SELECT name FROM sqlite_schema WHERE type = 'table' AND substr(name, 1, 11) = '_collegedb_'"

-- One that the table's constraints refuse is not written.
local function insert(shard, name, columns, random)
  local given, marks = {}, {}
  for i = 1, #columns do given[i], marks[i] = values[random(#values)], "?" end
  pcall(shard.run, shard, ("INSERT INTO %s VALUES (%s)"):format(name, table.concat(marks, ",")), given)
end

---Writes values that CollegeDB never writes into its tables.
---@param path string
---@param random fun(n: integer): integer
function damage.rows(path, random)
  local shard = core.sqlite(path, {})
  local tables = shard:all(TABLES)
  for _ = 1, #tables > 0 and random(3) or 0 do
    local name = tables[random(#tables)].name
    local columns = shard:all("SELECT name FROM pragma_table_info(?)", { name })
    if random(4) == 1 then insert(shard, name, columns, random)
    else
      pcall(shard.run, shard, ('UPDATE %s SET "%s" = ?'):format(name, columns[random(#columns)].name),
        { values[random(#values)] })
    end
  end
  core.close(shard)
end

return damage
