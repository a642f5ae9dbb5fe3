--- Calls a function while what it prints goes elsewhere than to standard output.

local aside = {}

local function printer(file)
  return function(...)
    local words = table.pack(...)
    for i = 1, words.n do words[i] = tostring(words[i]) end
    file:write(table.concat(words, "\t"), "\n")
  end
end

--- What `f` returns or raises; print and io.write write to `file` meanwhile.
---@param file file*
---@param f function
---@return any ...
function aside.call(file, f, ...)
  local write, output = print, io.output()
  print = printer(file) -- luacheck: ignore
  io.output(file)
  local results = table.pack(pcall(f, ...))
  io.output(output)
  print = write -- luacheck: ignore
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

return aside
