--- The programs that have a directory open, as far as that can be told: of a file those of this machine, by the lock
-- that each holds (src/core/filelock.c); of a database that machines share those whose lease runs.

local core = require "collegedb.core"

local seen_programs = {}

---@class collegedb.SeenProgram
---@field name string "1234 (lua5.4)", or its id in the directory
---@field placement integer? that it works in, where it says so

local function read(path)
  local file <close> = io.open(path, "r")
  return file and file:read "a"
end

-- Lines such as "7: FLOCK  ADVISORY  READ 1234 fe:00:98765 0 EOF".
local function of_file(path)
  local id = core.file_id(core.real_path(path) .. "-users")
  local inode = id and tonumber(id:match ":(%x+)$", 16)
  local list, seen = {}, {}
  local locks = inode and read "/proc/locks"
  if inode and not locks then return nil end
  for pid, number in (locks or ""):gmatch "FLOCK%s+ADVISORY%s+%u+%s+(%d+)%s+%x+:%x+:(%d+)" do
    if tonumber(number) == inode and not seen[pid] then
      seen[pid] = true
      local name = (read(("/proc/%s/comm"):format(pid)) or "?"):gsub("%c", "")
      list[#list + 1] = { name = ("%s (%s)"):format(pid, name) }
    end
  end
  return list
end

local function of_database(journal)
  local list = {}
  for _, row in ipairs(journal:all "SELECT id, placement FROM _collegedb_users WHERE until >= unixepoch()") do
    list[#list + 1] = { name = tostring(row.id), placement = row.placement }
  end
  return list
end

--- Those that have the directory open; nil where nothing tells.
---@param directory table? of lua/collegedb/look.lua
---@return collegedb.SeenProgram[]?
function seen_programs.read(directory)
  if not directory then return nil end
  if directory.file then return of_file(directory.file) end
  if directory.keeps_journal then return of_database(directory.journal) end
end

--- Is it a file's directory that no program of this machine has open?
---@param directory table? of lua/collegedb/look.lua
---@return boolean
function seen_programs.none(directory)
  local list = directory and directory.file and seen_programs.read(directory)
  return list and #list == 0 or false
end

--- Their names in one text.
---@param list collegedb.SeenProgram[]
function seen_programs.names(list)
  local names = {}
  for i, each in ipairs(list) do names[i] = each.name end
  return #names <= 5 and table.concat(names, ", ") or ("%s and %d more"):format(table.concat(names, ", ", 1, 5),
    #names - 5)
end

return seen_programs
