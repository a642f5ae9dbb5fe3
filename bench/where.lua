--- Where the instructions and the time of a routed read, write and insert go, beside those of the floor: writes
-- docs/where-time-goes.md. Started by `bench/run where`.

local callgrind = require "bench.callgrind"

local CALLS <const> = { first = 12000, update = 6000, insert = 5000 } -- as the figures count them
local TITLES <const> = {
  { "first", "A read: `db:first(key, \"SELECT * FROM users WHERE id = ?\", { key })`" },
  { "update", "A write: `db:run(key, \"UPDATE users SET age = ? WHERE id = ?\", { age, key })`" },
  { "insert", "An insert of a new key: `db:run(key, \"INSERT INTO users … VALUES (?, ?, ?, ?)\", { key, … })`" },
}

local head = [[
# Where the time goes

This file is written by `bench/run where`. It says what a routed call is made of, and what of that is SQLite's, Lua's,
and CollegeDB's. [Benchmarks](benchmarks.md) says what is compared, and how fast it is; the *floor* is C code that knows
its one file and its one statement, looks nothing up, and checks nothing.

Instructions are counted by callgrind in the processor's user mode, over some thousand calls. Each is counted once:

- **the calling program**: its loop, the table of parameters that it makes, and Lua's work to call a function. A method
  such as `db:first` is looked up in a metatable, and is handed four values; the floor is a function that is handed one.
- **SQLite runs the statement**: all below `sqlite3_step` and `sqlite3_reset`: the search, pages, the log, locks,
  commits, and the memory that they take.
- **SQLite takes and gives values**: binding parameters, reading columns, counts of changes, whether the schema has
  changed.
- **Lua's values**: reading the arguments and parameters, making rows and results, with the memory for them. Lua's
  collector works a little with each new object: more of that falls to this part or to the first by chance, and is to
  be seen together.
- **own code**: what is compiled from `src/`, or the floor's own.
- **other**: the clock, comparing bytes, the shared memory of the directory's log.
]]

local tail = [[
## What our own code does

`route.c`, `bind.h` and `plan.c`: checks that the database is open, knows the SQL text by the Lua string that it is, and
finds the shard. `key.c`, `xxhash.h`, `cache.c`: the key's hash and the mapping cache; `clock.c`: whether what the cache
says has ended. `run.c`, `shard.h`, `statements.c`: takes the statement out of the cache of its shard, counts it, puts
it back, and makes the result. `values.c`, `sqlite.c`: parameters and columns, with a check of each for being bound,
there, and not superfluous. For an insert of a new key also `home.c`, `placement.c` and `directory.c`: its home, and
whether the directory still has no entries.

The floor is ahead in what it does not do. What is left above it is, in this order: the method call, the walk over the
table of parameters that finds superfluous ones, the key's hash and the lookup, and a second layer between SQLite's
values and Lua's, behind which a shard may be a D1 database too.

Tried, and left out, because it gained nothing that could be counted: link-time optimization (9 instructions of 16,700),
-O2 in the place of -O3, reading all columns of a row by one call, fewer `lua_settop`. Profile-guided optimization was
tried once: an update came to 1.042 in the place of 1.044 times the floor, a read became slower. What did gain: the
strings that rows and results share with the call are not made anew (the key's, and the names of fields), and an empty
directory is not asked by a statement.

## How to repeat

```sh not run: measures for a minute
bench/run where         # writes this file
```

It takes Debian's package `valgrind`.
]]

local function group_of(name)
  if name == "sqlite3_step" or name == "sqlite3_reset" then return 2 end
  if name:find "^sqlite3" then return 3 end
  if name:find "^luaL?_" then return 4 end
  return 6
end

local ROWS <const> = {
  "the calling program", "SQLite runs the statement", "SQLite takes and gives values", "Lua's values", "own code",
  "other",
}

-- Instructions a call of each of ROWS.
local function split(profile, module, calls)
  local parts = { profile.total - profile.entered, 0, 0, 0, profile.own[module], 0 }
  for name, cost in pairs(profile.below) do
    -- The floor's module has the loop's caller too.
    if name ~= "lua_callk" then parts[group_of(name)] = parts[group_of(name)] + cost end
  end
  local rest = profile.total
  for i = 1, 5 do rest = rest - parts[i] end
  parts[6] = rest
  for i, cost in ipairs(parts) do parts[i] = cost / calls end
  return parts
end

local function count(ctx, name)
  local path = ("%s/where.%s"):format(ctx.tmp, name)
  local command = ("valgrind -q --tool=callgrind --instr-atstart=no --callgrind-out-file='%s' "
    .. "lua5.4 bench/figure.lua counted %s >'%s.log' 2>&1"):format(path, name, path)
  if not os.execute(command) then error("callgrind failed, see " .. path .. ".log") end
  local profiles = {}
  for number = 1, 9 do
    local file = ("%s.%d"):format(path, number)
    local ours = callgrind.read(file, "core.so")
    if ours and ours.name == "ours" then profiles.ours = ours end
    if ours and ours.name == "floor" then profiles.floor = callgrind.read(file, "floor.so") end
  end
  return profiles
end

local function whole(n)
  local digits = ("%.0f"):format(math.abs(n))
  local text = digits:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", "")
  return (n <= -0.5 and "-" or "") .. text
end

local function instructions(out, profiles, calls)
  local ours = split(profiles.ours, "core.so", calls)
  local floor = split(profiles.floor, "floor.so", calls)
  out[#out + 1] = "| instructions of a call | routed | floor | more |\n| --- | ---: | ---: | ---: |"
  for i, row in ipairs(ROWS) do
    out[#out + 1] = ("| %s | %s | %s | %s |"):format(row, whole(ours[i]), whole(floor[i]), whole(ours[i] - floor[i]))
  end
  local a, b = profiles.ours.total / calls, profiles.floor.total / calls
  local together = "| **together** | **%s** | **%s** | **%s**, %.3f × |\n"
  out[#out + 1] = together:format(whole(a), whole(b), whole(a - b), a / b)
end

local function largest(list, calls, least)
  local sorted, rest = {}, 0
  for name, cost in pairs(list) do
    if cost / calls >= least then sorted[#sorted + 1] = { name, cost / calls } else rest = rest + cost / calls end
  end
  table.sort(sorted, function(a, b) return a[2] > b[2] or (a[2] == b[2] and a[1] < b[1]) end)
  local words = {}
  for i, each in ipairs(sorted) do words[i] = ("`%s` %s"):format(each[1], whole(each[2])) end
  if rest >= 1 then words[#words + 1] = "others " .. whole(rest) end
  return table.concat(words, ", ")
end

local function detail(out, profiles, calls)
  out[#out + 1] = ("Our own code by file: %s.\n"):format(largest(profiles.ours.files, calls, 5))
  local lua, sqlite = {}, {}
  for name, cost in pairs(profiles.ours.below) do
    if name:find "^lua" then lua[name] = cost elseif name:find "^sqlite3" then sqlite[name] = cost end
  end
  out[#out + 1] = ("What it asks of SQLite: %s.\n"):format(largest(sqlite, calls, 20))
  out[#out + 1] = ("What it asks of Lua: %s.\n"):format(largest(lua, calls, 40))
  out[#out + 1] = ("In whose code the whole of it is spent: %s.\n"):format(largest(profiles.ours.own, calls, 50))
end

local function time(ctx, out, name)
  os.remove(ctx.tmp .. "/update.db")
  local path = ctx.tmp .. "/where.time"
  if not os.execute(("lua5.4 bench/figure.lua time '%s' '%s'"):format(name, path)) then
    error "measuring the time failed"
  end
  local t = dofile(path)
  out[#out + 1] = "| microseconds of processor time a call | routed | floor |\n| --- | ---: | ---: |"
  local line = "| %s | %.2f | %.2f |"
  out[#out + 1] = line:format("in the kernel: locks, reading and writing files", t.ours.kernel, t.base.kernel)
  out[#out + 1] = line:format("in the program, SQLite and Lua", t.ours.user, t.base.user) .. "\n"
end

local ctx = { tmp = os.getenv "BENCH_TMP" }
local out = { head }
for _, title in ipairs(TITLES) do
  local name, calls = title[1], CALLS[title[1]]
  local profiles = count(ctx, name)
  out[#out + 1] = "## " .. title[2] .. "\n"
  instructions(out, profiles, calls)
  time(ctx, out, name)
  detail(out, profiles, calls)
  print(("%s: %.3f × the floor"):format(name, profiles.ours.total / profiles.floor.total))
end
out[#out + 1] = tail
local file <close> = assert(io.open("docs/where-time-goes.md", "w"))
file:write((table.concat(out, "\n"):gsub("\n\n\n+", "\n\n"):gsub("%s+$", "")), "\n")
print "written: docs/where-time-goes.md"
