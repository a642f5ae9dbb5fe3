-- Node.js, which Cloudflare's engine and what drives Chromium run on.

local node = {}

local WANTED <const> = 20

---@return string? why it does not serve
function node.missing()
  local pipe <close> = assert(io.popen "node --version 2>/dev/null")
  local version = pipe:read "l"
  local major = version and math.tointeger(version:match "^v(%d+)")
  if major and major >= WANTED then return nil end
  return ("Node.js is %s, and has to be %d or newer"):format(version or "missing", WANTED)
end

return node
