-- Measures what a hundred shards and twenty million entries cost, and writes docs/scale.md with its two charts. Started
-- by bench/run scale.

local measure = require "bench.measure"
local plot = require "bench.scale.plot"

local quick = os.getenv "BENCH_QUICK" == "1"
local SHARDS <const> = { 1, 2, 5, 10, 20, 50, 100 }
local KEYS <const> = quick and { 10000, 100000, 1000000 } or { 20000, 200000, 2000000, 20000000 }
local MOST <const> = KEYS[#KEYS]

-- In a process of its own; the numbers that it prints.
local function part(figure, ...)
  local command = ("lua5.4 bench/figure.lua part %s %s"):format(figure, table.concat({ ... }, " "))
  io.stderr:write(command, "\n")
  local pipe <close> = assert(io.popen(command))
  local numbers = {}
  for number in pipe:read "a":gmatch "%S+" do numbers[#numbers + 1] = tonumber(number) end
  return table.unpack(numbers)
end

local function micro(seconds) return ("%.1f µs"):format(seconds * 1e6) end
local function milli(seconds) return ("%.1f ms"):format(seconds * 1e3) end
local function mega(bytes) return ("%.0f MiB"):format(bytes / 2 ^ 20) end
local function cells(...) return "| " .. table.concat({ ... }, " | ") .. " |\n" end

local function short(n)
  if n >= 1000000 then return ("%g million"):format(n / 1000000) end
  return measure.rate(n)
end

-- --- by the number of shards -----------------------------------------------------------------

local function by_shards()
  local rows, lines, ticks = {}, { { label = "insert", points = {} }, { label = "read, not cached", points = {} },
    { label = "read, cached", points = {} } }, {}
  for i, count in ipairs(SHARDS) do
    local opened, cached, cached_i, cold, cold_i, insert, insert_i = part("scale_shards", count)
    rows[i] = cells(tostring(count), milli(opened), micro(cached), ("%.0f"):format(cached_i), micro(cold),
      ("%.0f"):format(cold_i), micro(insert), ("%.0f"):format(insert_i))
    ticks[i] = { at = count, label = tostring(count) }
    for n, value in ipairs { insert_i, cold_i, cached_i } do lines[n].points[i] = { count, value / 1000 } end
  end
  return table.concat(rows), { title = "Instructions of a routed call, by the number of shards",
    along = "shards", up = "thousands", ticks = ticks, lines = lines }
end

-- --- by the number of keys ---------------------------------------------------------------------

local function by_keys()
  local rows, ticks, facts = {}, {}, nil
  local lines = { { label = "read, not cached", points = {} }, { label = "read, cached", points = {} } }
  for i, keys in ipairs(KEYS) do
    part("scale_keys", "create", keys)
    local seconds, bytes, grown = part("scale_keys", "integrate", keys)
    local opened, disk, cold, warm, locate, memory = part("scale_keys", "look_up", keys)
    local cold_i, warm_i = part("scale_keys", "count", keys)
    local checked, checking = part("scale_keys", "verify", keys)
    rows[i] = cells(short(keys), measure.rate(keys / seconds) .. "/s", ("%.1f"):format(bytes / keys), milli(opened),
      micro(disk), micro(cold), micro(warm), micro(locate), measure.rate(keys / checked) .. "/s")
    ticks[i] = { at = keys, label = short(keys) }
    for n, value in ipairs { cold_i, warm_i } do lines[n].points[i] = { keys, value / 1000 } end
    if keys == MOST then
      facts = { seconds = seconds, bytes = bytes, grown = grown, memory = memory, checked = checked,
        checking = checking, evict = { part("scale_keys", "evict", keys) } }
    end
    part("scale_keys", "remove", keys)
  end
  return table.concat(rows), { title = "Instructions of a read, by the number of entries in the directory",
    along = "entries in the directory", up = "thousands", ticks = ticks, lines = lines }, facts
end

-- --- the page ------------------------------------------------------------------------------------

local PAGE <const> = [[
# Scale

This file is written by `make scale`. Times are of a machine with two processors that others share; what travels to
another one are the instructions, and how the numbers grow.

## A hundred shards

50,000 rows in all, in one file or in many; each row is at its home, so that the directory has no entries. A read of
one row by its key, and an insert of a new key in a transaction of its own (WAL, `synchronous = NORMAL`). *Cached*: the
mapping cache knows the key. *Not cached*: it is switched off.

| shards | open | read, cached | instructions | not cached | instructions | insert | instructions |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
%s
![Instructions of a routed call by the number of shards](scale-shards.svg)

## Twenty million entries

A hundred files that were there before, taken over into one directory with `directory = "full"`: hardly any key is where
the hash would have placed it. *From the disk*: nothing of any file is in memory; *not cached*: the mapping
cache does not know the key, and the directory is asked; *cached*: it does. A read is a `SELECT` by the key.

| entries | taken over | bytes an entry | open | from the disk | not cached | cached | `locate`, not cached | verified |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
%s
![Instructions of a read by the number of entries](scale-keys.svg)

With %s entries:

| what | measured |
| --- | --- |
| to take all of them over | %.0f s, %s of memory |
| the directory's file | %s |
| memory of a program that has read 80,000 of the keys, with its mapping cache | %s |
| `verify`, which looks at every key | %.0f s, %s of memory |
| mapping cache of a million keys, asked for all keys evenly | %.1f %% hits, %s a `locate`, %s |
| the same where nine of ten calls ask for a fortieth of the keys | %.1f %% hits, %s a `locate`, %s |

## How to repeat

```sh not run: measures for some ten minutes
make scale              # writes this file and its charts; 6 GB below TMPDIR
bench/run quick scale   # up to a million entries; prints only
```
]]

local shard_rows, shard_chart = by_shards()
local key_rows, key_chart, facts = by_keys()
local evict = facts.evict
local page = PAGE:format(shard_rows, key_rows, short(MOST), facts.seconds, mega(facts.grown), mega(facts.bytes),
  mega(facts.memory), facts.checked, mega(facts.checking), evict[1] * 100, micro(evict[2]), mega(evict[3]),
  evict[4] * 100, micro(evict[5]), mega(evict[6]))
print(page)
if not quick then
  local file <close> = assert(io.open("docs/scale.md", "w"))
  file:write(page)
  plot.write("docs/scale-shards.svg", shard_chart)
  plot.write("docs/scale-keys.svg", key_chart)
else
  plot.write(os.getenv "BENCH_TMP" .. "/scale-shards.svg", shard_chart)
  plot.write(os.getenv "BENCH_TMP" .. "/scale-keys.svg", key_chart)
end
