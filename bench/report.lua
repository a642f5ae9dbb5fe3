--- Rows of figures as text: a line on the terminal, and docs/benchmarks.md.
-- A row is { what, measured, reach?, met?, why? }: without `reach` it stands beside the targets, `why` explains a miss.

local floor = require "floor"

local report = {}

local function verdict(row)
  if not row.reach then return "" end
  if row.met == nil then return "–" end
  return row.met and "yes" or "no"
end

function report.line(row)
  local mark = row.reach and (row.met and "met     " or row.met == false and "MISSED  " or "skipped ") or "        "
  return ("%s%s: %s%s"):format(mark, row.what, row.measured, row.reach and (" [" .. row.reach .. "]") or "")
end

function report.summary(rows)
  local met, all = 0, 0
  for _, row in ipairs(rows) do
    if row.reach then all = all + 1 end
    if row.met then met = met + 1 end
  end
  return ("%d of %d targets met"):format(met, all)
end

local function read(command)
  local pipe <close> = assert(io.popen(command .. " 2>/dev/null"))
  return (pipe:read "l" or "unknown")
end

local function first_line(path, pattern)
  for line in io.lines(path) do
    local found = line:match(pattern)
    if found then return found end
  end
  return "unknown"
end

-- Nothing here names a machine: model, counts and versions only.
local function machine()
  local sqlite = floor.prepare(floor.open ":memory:", "SELECT sqlite_version() AS version", "first")({}).version
  local gigabytes = tonumber(first_line("/proc/meminfo", "^MemTotal:%s*(%d+)")) / 2 ^ 20
  return {
    { "processor", first_line("/proc/cpuinfo", "^model name%s*:%s*(.*)") .. ", " .. read "nproc" .. " cores" },
    { "memory", ("%.0f GiB"):format(gigabytes) },
    { "kernel", "Linux " .. (read "uname -r"):match "^[%d.]+" },
    { "SQLite", sqlite },
    { "Lua", (read "lua5.4 -v"):match "[%d.]+" },
    { "compiler", "gcc " .. read "gcc -dumpfullversion" .. ", -O3" },
  }
end

local head = [[
# Benchmarks

This file is written by `make bench`.

What is compared is the **floor**: C code in `bench/` that knows its one file and its one statement, binds the
parameters directly, and builds the same Lua values, with the same settings of SQLite on the same file. It is
handed the same array of parameters as ours, keeps the column names as Lua strings, and looks up, caches and checks
nothing. So "1.08 times the floor" says what finding the shard, the statement and the key costs, and what checking
the parameters and the outcome does.

Times are medians of rounds in which both sides run in turns, some hundred calls of one and some hundred of the
other, in one process, so that other programs on the machine disturb both alike; rounds are added while they
scatter. Only the ratios travel to another machine. Instructions are counted by callgrind in the processor's user
mode, again for both in one process; they hardly scatter.
]]

local tail = [[
## How to repeat

```sh not run: measures for minutes
make bench              # all of it, some three minutes; writes this file
bench/run quick         # fewer rounds and rows, under a minute; prints only
bench/run first cold    # some figures only, by their name in bench/figures
```

It takes Debian's packages `valgrind` and `lua-sql-sqlite3` (`make bench` installs them, as `make test` does) and
1.5 GB below `TMPDIR` while it runs.

## How each is measured

- **`first`**: a table `users (id TEXT PRIMARY KEY, name, age, score)` of 100,000 rows, 8 MB; `SELECT * FROM users
  WHERE id = ?` with scattered keys; WAL, `synchronous = NORMAL`, SQLite's default cache of 2 MB. Both callers make
  the table `{ key }`.
- **`update`**: one row a transaction, and each call changes the row: SQLite writes nothing for a row that stays as it
  is. The floor makes the same result table as `db:run`.
- **insert**: new keys over four shards; the floor inserts the same keys into four files of its own, and knows the
  shard of each key before. A third connection reads the directory's `data_version` and counts its entries before and
  after.
- **cold**: four shards, each row at home, so that the directory has no entry of it. One instance keeps its cache,
  the other has `mapping_cache_ttl = 0`; both read the same keys from the same files. The directory is a file.
- **lua-sql-sqlite3**: the value escaped into the SQL text, `execute`, one `fetch`, `close`; each side in processes of
  its own, which run in turns.
- **`locate`**: 20,000 keys, the loop around it included.
- **cache**: filled up to its bound; bytes for each entry that is found again, by its own account and by the
  kernel's.
- **integrating**: the floor reads the same pages of half a million keys in their order, digests them with the same
  library, sorts each page, and inserts it in transactions of the same size into a table of the same shape;
  `synchronous = FULL` on both sides, a new directory each time, `directory = "full"` so that every key gets an
  entry. Memory is the peak of a process that does only this, less what it had before.
- **four processes**: `synchronous = FULL`, each process inserts its own new keys for a second, seven times, in
  turns with four processes of bare SQLite on the same files. With its keys on a shard of its own a process meets
  no other; with keys as they come every process writes to every file, and both sides mostly wait for locks.
- **17th shard**: the places of 4 million keys with 16 and with 17 shards of equal weight.
- **start-up**: from `exec` to exit, in turns.
- **moving rows between two files**: every second user of a file goes to another one, 5,000 keys a move, with their
  entries in the directory; the floor does it in one transaction, on files made anew. `synchronous = FULL` on both
  sides.
- **commits of a move**: the transactions in the WAL files of the directory and both shards.
- **a write to a key that is being moved**: one process writes one row all the time, another one moves it to and fro
  with pauses of some milliseconds. Counted are the writes that began on one shard and ended on the other; a commit's
  time is the median of the same write while nothing moves. `synchronous = FULL`.
- **a shard that remembers moved keys**: against the same table in a file without any; WAL, NORMAL.
- **D1**: the service is a program on the same machine that answers as D1 does, so that its own work and the
  network's are not counted. A request's processor time is this side's thread, with libcurl's and the kernel's part,
  less what jansson takes for the answer. For rows it is `all` less the same request by `net.request`, against
  `json_loads` of the same 20,000 rows of four columns. For many shards each answer is held back for 50 ms.
- **gateway**: on Cloudflare's engine, on the same machine; requests go over one connection to each Worker, in turns.
  The bare Worker has neither tokens nor checks. Each insert carries the token by which it is done only once.
]]

local function cells(...) return "| " .. table.concat({ ... }, " | ") .. " |\n" end

--- Writes the file.
---@param path string
---@param rows table[]
function report.write(path, rows)
  local targets, beside, misses, facts = {}, {}, {}, {}
  for _, row in ipairs(rows) do
    if row.reach then targets[#targets + 1] = cells(row.what, row.reach, row.measured, verdict(row))
    else beside[#beside + 1] = cells(row.what, row.measured) end
    if row.met == false and row.why then misses[#misses + 1] = ("- **%s**: %s\n"):format(row.what, row.why) end
  end
  for _, fact in ipairs(machine()) do facts[#facts + 1] = cells(fact[1], fact[2]) end
  local file <close> = assert(io.open(path, "w"))
  file:write(head, "\n## Figures\n\n", cells("what", "to reach", "measured", "met"), "| --- | --- | --- | --- |\n",
    table.concat(targets), "\n", report.summary(rows), ".\n")
  if #misses > 0 then file:write("\n### What is missed, and why\n\n", table.concat(misses)) end
  file:write("\n### Beside them\n\n", cells("what", "measured"), "| --- | --- |\n", table.concat(beside))
  file:write("\n## Machine\n\n| | |\n| --- | --- |\n", table.concat(facts), "\n", tail)
end

return report
