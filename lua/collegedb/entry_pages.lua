--- The digests of all entries of a table, in order, a page at a time.

local core = require "collegedb.core"

local entry_pages = {}

local PAGE <const> = "SELECT digest FROM _collegedb_entries WHERE digest > ? ORDER BY digest LIMIT 1000"

---@param shard table with each
---@param after string the last digest of the page before, or ""
---@return string[] # none at the end
function entry_pages.read(shard, after)
  local page = {}
  for row in shard:each(PAGE, { core.blob(after) }) do page[#page + 1] = row.digest end
  return page
end

return entry_pages
