-- Memory of the mapping cache: filled up to its bound by bench/cache_bytes.c.

local function run(ctx)
  local count = ctx.quick and 1000000 or 10000000
  local pipe <close> = assert(io.popen(("%s/bench/cache_bytes %d"):format(ctx.build, count)))
  local found, bytes, resident = pipe:read("n", "n", "n")
  return { {
    what = ("mapping cache at %s entries"):format(ctx.quick and "1 million" or "10 million"),
    reach = "≤ 32 bytes an entry", met = bytes / found <= 32 and resident / found <= 32,
    measured = ("%.1f bytes (resident memory: %.1f); %.2f %% of the entries put are found"):format(bytes / found,
      resident / found, found * 100 / count),
  } }
end

return { run = run }
