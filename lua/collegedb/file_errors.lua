--- What the system says of a file that can not be written, as an error object.

local errors = require "collegedb.errors"

local file_errors = {}

-- Numbers of errno(3) on Linux, and what they are for whoever named the file.
local KINDS <const> = {
  [1] = { "READONLY", "this user may not write it" }, -- EPERM
  [2] = { "USAGE", "there is no such folder" }, -- ENOENT
  [13] = { "READONLY", "this user may not write it" }, -- EACCES
  [20] = { "USAGE", "its folder is no folder" }, -- ENOTDIR
  [21] = { "USAGE", "it is a folder" }, -- EISDIR
  [22] = { "USAGE", "the file system takes no such name" }, -- EINVAL
  [27] = { "FULL", "it would be too large for the file system" }, -- EFBIG
  [28] = { "FULL", "there is no room left" }, -- ENOSPC
  [30] = { "READONLY", "its file system can only be read" }, -- EROFS
  [36] = { "USAGE", "its name is too long" }, -- ENAMETOOLONG
  [40] = { "USAGE", "its links lead in a circle" }, -- ELOOP
  [122] = { "FULL", "this user's share of the disk is used up" }, -- EDQUOT
}

--- Raises USAGE, READONLY or FULL; UNAVAILABLE for what is wrong with the disk rather than with the name.
---@param path string as the user wrote it
---@param code integer? that Lua's io functions return behind the message
function file_errors.raise(path, code)
  local kind = KINDS[code] or { "UNAVAILABLE", ("the system says error %s"):format(code or "?") }
  errors.raise(kind[1], nil, "%s can not be written: %s", path, kind[2])
end

return file_errors
