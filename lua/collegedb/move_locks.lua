--- Whose mover still lives, exactly, on one machine: while a move goes on its program holds the move's number on the
-- lock file of the directory (src/core/filelock.c). The lock ends with the process, and not before: not while it is
-- stopped, nor while a fork of it lives. The line in the journal names the file on which it is held. Where nothing was
-- noted, or this is another file, only the lease tells.

local core = require "collegedb.core"

local move_locks = {}

local FIRST <const> = 1 << 50 -- above the numbers of placements and of a journal's works

--- Holds a move's number for this instance. Nil where others could not see that: a directory without a lock file, or
-- one whose file was replaced, or is on a disk that has no such locks.
---@param directory table
---@param number integer
---@return string? file for the line of the journal
function move_locks.hold(directory, number)
  if not directory.lock or not directory.lock:claim(FIRST + number) then return nil end
  local file, held = core.look_at_lock(directory.lock_path, FIRST + number)
  if file and held then return file end
  directory.lock:release(FIRST + number)
end

--- The move is over, and its line is gone; or this instance has given it up.
function move_locks.release(directory, number)
  if directory.lock then directory.lock:release(FIRST + number) end
end

--- Is it certain that nobody holds the number of a line, which said that it was held?
---@param row { number: integer, lock: string? }
---@return boolean
function move_locks.is_free(directory, row)
  if not row.lock or not directory.lock_path then return false end
  local file, held = core.look_at_lock(directory.lock_path, FIRST + row.number)
  return file == row.lock and not held
end

return move_locks
