--- Places keys as the TypeScript library does, for programs that share its
-- mappings: h = h * 31 + unit over the UTF-16 units of the key, in 32 bits, and
-- the remainder of its absolute value picks the shard in config order. It spreads
-- unevenly, and another number of shards places most keys anew: every key gets
-- an entry. Use `hash` where nothing else decides.

local hash_compat = { name = "hash_compat", api = 1 }

local function add(h, unit) return (h * 31 + unit) & 0xffffffff end

--- The unsigned number whose remainder decides.
---@param text string UTF-8; a byte that is none counts as U+FFFD, as a decoder would have it
function hash_compat.hash(text)
  local h, at = 0, 1
  while at <= #text do
    local valid, code = pcall(utf8.codepoint, text, at)
    if not valid then
      h, at = add(h, 0xfffd), at + 1
    else
      if code > 0xffff then
        h = add(add(h, 0xd800 + (code - 0x10000 >> 10)), 0xdc00 + (code - 0x10000 & 0x3ff))
      else
        h = add(h, code)
      end
      at = utf8.offset(text, 2, at)
    end
  end
  return h < 0x80000000 and h or 0x100000000 - h
end

function hash_compat.select(key, shards)
  return shards[hash_compat.hash(tostring(key)) % #shards + 1].name
end

return hash_compat
