-- busted's output handler for spec/run: failures, errors and skips in full, the rest as one line a file. The counts
-- go to the file that CDB_SPEC_COUNTS names, rewritten after each test, so that a crash does not lose them.

local pretty = require "pl.pretty"

local function indent(text)
  return "  " .. text:gsub("\n$", ""):gsub("\n", "\n  ")
end

local function text_of(message)
  if type(message) == "string" then return message end
  if message == nil then return "no message" end
  local meta = getmetatable(message)
  if meta and meta.__tostring then return tostring(message) end
  return pretty.write(message)
end

return function()
  local busted = require "busted"
  local handler = require "busted.outputHandlers.base"()
  local counts_path = os.getenv "CDB_SPEC_COUNTS"
  local started = os.time()

  local function write_counts(state)
    if not counts_path then return end
    local file <close> = assert(io.open(counts_path, "w"))
    file:write(("%d %d %d %s\n"):format(handler.successesCount, handler.failuresCount + handler.errorsCount,
      handler.pendingsCount, state))
  end

  local function show(failure)
    local trace = failure.element.trace or failure.trace or {}
    io.write(("FAILED %s:%s: %s\n"):format(trace.short_src or "?", trace.currentline or "?", failure.name))
    io.write(indent(text_of(failure.message)), "\n")
    local traceback = failure.trace and failure.trace.traceback
    if failure.isError and traceback then io.write(indent((traceback:gsub("^\n", ""))), "\n") end
  end

  handler.testEnd = function(element, _, status)
    if status == "pending" then
      local skipped = handler.pendings[#handler.pendings]
      io.write(("skipped: %s%s\n"):format(handler.getFullName(element),
        skipped.message and ": " .. text_of(skipped.message) or ""))
    elseif status == "failure" then
      show(handler.failures[#handler.failures])
    elseif status == "error" then
      show(handler.errors[#handler.errors])
    end
    io.flush()
    write_counts "running"
    return nil, true
  end

  -- A failure outside a test: while a file is loaded, or in a setup or teardown.
  handler.error = function(element)
    if element.descriptor ~= "it" then show(handler.errors[#handler.errors]) end
    io.flush()
    return nil, true
  end

  handler.suiteEnd = function()
    io.write(("   %d passed, %d failed, %d skipped in %d s\n"):format(handler.successesCount,
      handler.failuresCount + handler.errorsCount, handler.pendingsCount, os.time() - started))
    io.flush()
    write_counts "finished"
    return nil, true
  end

  busted.subscribe({ "test", "end" }, handler.testEnd, { predicate = handler.cancelOnPending })
  busted.subscribe({ "error" }, handler.error)
  busted.subscribe({ "failure" }, handler.error)
  busted.subscribe({ "suite", "end" }, handler.suiteEnd)
  return handler
end
