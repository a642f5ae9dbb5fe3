--- Runs fuzz targets (spec/fuzz/*.c): builds them, and starts each with what is in spec/fuzz/corpus and with what it
-- found interesting before, in build/fuzz/corpus.

local statements = require "spec.fuzz.statements"

local runner = {}

runner.targets = { "answers", "config", "keys", "records", "scanner", "statements" }

local FOLDER <const> = "build/fuzz"

local dictionaries <const> = { answers = "answers", records = "records", scanner = "sql", statements = "sql" }

-- What reads Lua keeps garbage until it is collected, which looks like a leak.
local leaks <const> = { scanner = 1, statements = 1 }

local function capture(command)
  local pipe <close> = assert(io.popen(command .. " 2>&1"))
  return pipe:read "a", pipe:close() == true
end

--- Can they be built here?
function runner.missing()
  local text, done = capture "printf 'int LLVMFuzzerTestOneInput(const char*d,long s){return 0*s+!d;}' \z
    | clang -x c -fsanitize=fuzzer,address -o /dev/null -"
  return not done and "clang with libFuzzer is not installed: " .. text:sub(1, 200) or nil
end

-- Each statement of spec/fuzz/statements.sql is an input.
local function write_statements()
  local folder = FOLDER .. "/seeds/statements"
  os.execute("mkdir -p " .. folder)
  for i, each in ipairs(statements.read "spec/fuzz/statements.sql") do
    local file <close> = assert(io.open(("%s/%03d"):format(folder, i), "w"))
    file:write(each.sql)
  end
end

--- Builds all targets; returns what went wrong, or nil.
function runner.build()
  -- By itself, whatever make this runs under.
  local text, done = capture "env -u MAKEFLAGS -u MAKEOVERRIDES -u MFLAGS -u LD_PRELOAD make fuzz_build"
  if not done then return text end
  write_statements()
end

---@param name string of a target
---@param seconds integer
---@return { name: string, pipe: file*, log: string }
function runner.start(name, seconds)
  local corpus, found = "spec/fuzz/corpus/" .. name, FOLDER .. "/corpus/" .. name
  local words = { "mkdir -p", found, FOLDER .. "/found;", "env -u LD_PRELOAD", FOLDER .. "/" .. name,
    "-max_total_time=" .. seconds, "-max_len=1000 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1",
    ("-artifact_prefix=%s/found/%s-"):format(FOLDER, name), "-detect_leaks=" .. (leaks[name] or 0),
    dictionaries[name] and ("-dict=spec/fuzz/%s.dict"):format(dictionaries[name]) or "", found, corpus,
    (name == "scanner" or name == "statements") and FOLDER .. "/seeds/statements" or "" }
  local log = FOLDER .. "/" .. name .. ".log"
  return { name = name, log = log, pipe = assert(io.popen(("{ %s; } >%s 2>&1"):format(table.concat(words, " "), log))) }
end

-- What was found: the lines that tell what it is, and the input in base64.
local function finding(text)
  local lines = {}
  for line in text:gmatch "[^\n]+" do
    local tells = line:find "does not hold" or line:find "ERROR: " or line:find "runtime error" or line:find "^Base64"
      or line:find "^[%w_/%[][^%s]*%.lua:%d+: " or line:find "^SUMMARY"
    if tells then lines[#lines + 1] = line:sub(1, 2000) end
  end
  return table.concat(lines, "\n")
end

--- Waits for its end.
---@param run table of start
---@return { name: string, executions: integer, finding: string? }
function runner.finish(run)
  local done = run.pipe:close()
  local file <close> = assert(io.open(run.log, "rb"))
  local text = file:read "a"
  local executions = tonumber(text:match "number_of_executed_units: (%d+)") or 0
  if done and executions > 0 then return { name = run.name, executions = executions } end
  return { name = run.name, executions = executions, finding = finding(text) .. "\nmore in " .. run.log }
end

return runner
