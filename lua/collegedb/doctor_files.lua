--- The doctor's look at files, each by itself, before anything is opened: are they there, are they databases, may this
-- user write them and may others, and is the disk one on which SQLite can work.

local core = require "collegedb.core"
local errors = require "collegedb.errors"
local shards = require "collegedb.shards"

local doctor_files = {}

local MIB <const> = 1 << 20
local WHOLE <const> = 64 * MIB      -- a file up to here is read through
local LARGE_WAL <const> = 64 * MIB
local LITTLE <const>, NOTHING <const> = 512 * MIB, 32 * MIB -- of free space
local OTHERS_READ <const>, OTHERS_WRITE <const>, OWNER_WRITES <const> = 4, 2, 0x80

local MENDS <const> = {
  BUSY = "another program holds the file: end its transaction",
  READONLY = "give this user the right to write the file and its folder",
  CORRUPT = "put the file back from a backup, and run collegedb verify",
  FULL = "make room on the disk",
}

-- What an error says must be done about a file.
local function mend_of(err)
  if err.message:find("No space left", 1, true) or err.message:find("Disk quota exceeded", 1, true) then
    return MENDS.FULL
  end
  return MENDS[err.code] or "see that the file is there, and that this user may use it"
end

doctor_files.mend_of = mend_of

local function folder_of(path) return path:match "^(.*)/[^/]*$" or "." end

local function mib(bytes) return ("%.1f MiB"):format(bytes / MIB) end

-- --- what is in the file ---------------------------------------------------------------------

-- Tries to begin a write, which is then taken back.
local function check_writable(shard) core.rollback(core.begin(shard)) end

local function check_whole(shard)
  if shard:size() > WHOLE then return end
  local said = shard:first "PRAGMA quick_check(1)".quick_check
  if said ~= "ok" then errors.raise("CORRUPT", nil, "the file is damaged: %s", said) end
end

local function read_file(add, about, path, shard, writable)
  local mode = shard:first("PRAGMA journal_mode").journal_mode
  if writable then check_writable(shard) end
  check_whole(shard)
  local how = writable and (", journal mode %s, can be written"):format(mode) or ", can be read"
  add(about, "ok", ("%s: %d bytes%s"):format(path, shard:size(), how))
  if not writable then return end
  if mode ~= "wal" and shard:size() > 0 then
    add(about, "note", "its readers and its writer wait for one another",
      "PRAGMA journal_mode = WAL, once, while nobody else has the file open")
  end
end

local function look_into(add, about, path, facts)
  local size = facts.size
  local done, err = pcall(function()
    local shard = core.sqlite(path, { name = about, must_exist = 1, busy_timeout_ms = 2000,
      read_only = not facts.writable, journal_mode = size == 0 and "delete" or nil }) -- an empty file stays one
    local looked, problem = pcall(read_file, add, about, path, shard, facts.writable)
    core.close(shard)
    if not looked then error(problem, 0) end
  end)
  if done then return end
  if not errors.is_error(err) then error(err, 0) end
  local cut = err.code == "CORRUPT" and err.message:find "malformed"
    and (" (it has %d bytes: was it cut off?)"):format(size) or ""
  add(about, "fault", err.message .. cut, mend_of(err))
end

-- --- what is around it -----------------------------------------------------------------------

-- The files that SQLite keeps beside a database.
local function check_beside(add, about, path, facts)
  for _, ending in ipairs { "-wal", "-shm", "-journal" } do
    local beside = core.file_facts(path .. ending)
    if beside and not beside.writable then
      add(about, "fault", ("%s%s belongs to %s, and this user may not write it"):format(path, ending, beside.owner),
        ("chown %s %s%s, and let programs of one user write the database"):format(facts.owner, path, ending))
    elseif beside and beside.owner ~= facts.owner then
      add(about, "note", ("%s%s belongs to %s, and the database to %s"):format(path, ending, beside.owner,
        facts.owner), "let programs of one user write the database, or users of one group")
    end
    if beside and ending == "-wal" and beside.size > LARGE_WAL and beside.size * 4 > facts.size then
      add(about, "note", ("%s-wal has grown to %s: somebody reads for long, so that it can not be emptied"):format(path,
        mib(beside.size)), "end that reader; then PRAGMA wal_checkpoint(TRUNCATE)")
    end
  end
end

local function check_rights(add, about, path, facts)
  if not facts.writable then
    add(about, "fault", ("this user may not write %s, which belongs to %s"):format(path, facts.owner),
      "run the program as that user, or give this one the right to write it")
  end
  if facts.mode & OTHERS_WRITE ~= 0 then
    add(about, "fault", ("every user of this machine may write %s"):format(path), ("chmod o-w %s"):format(path))
  end
  if facts.links > 1 then
    add(about, "fault", ("%s has %d names (hard links): programs that use different ones damage it"):format(path,
      facts.links), "keep one name: remove the others, or replace each by a copy made with VACUUM INTO")
  end
end

local function mend_of_folder(folder, facts)
  if facts.mine and facts.mode & OWNER_WRITES == 0 then return ("chmod u+w %s"):format(folder) end
  if facts.mine then return "see that its file system is not mounted to be read only" end
  return ("run the program as %s; or let %s give this user the right to write it"):format(facts.owner,
    facts.owner == "root" and "root" or facts.owner .. ", or root,")
end

local function check_folder(add, about, path, seen)
  local folder = folder_of(path)
  local facts = core.file_facts(folder == "" and "/" or folder)
  if not facts or seen[folder] then return end
  seen[folder] = true
  if not facts.writable then
    add(about, "fault", ("this user may not write the folder %s, which belongs to %s, and where SQLite keeps what "
      .. "belongs to its files"):format(folder, facts.owner), mend_of_folder(folder, facts))
  end
end

-- Of the file systems that the files are on, each once.
local function check_disk(add, about, facts, seen)
  if seen[facts.device] then return end
  seen[facts.device] = true
  if facts.network then
    add(about, "fault", ("it is on a network file system (%s), where SQLite's locks do not hold"):format(facts.network),
      "put the files on a disk of this machine; for several machines there are D1 and the gateway (docs/cloudflare.md)")
  end
  if facts.free and facts.free < LITTLE then
    local full = facts.free < NOTHING
    add(about, full and "fault" or "note", ("the disk has %s left"):format(mib(facts.free)), "make room on the disk")
  end
end

-- --- all of them ------------------------------------------------------------------------------

-- A file that is there, and is a file; else nil, and false where there is none.
local function facts_of(add, about, path, mend)
  local facts, reason = core.file_facts(path)
  if facts and facts.kind == "file" then return facts end
  if facts then
    add(about, "fault", ("%s is no file%s"):format(path, facts.kind == "folder" and " but a folder" or ""),
      "name the database's file in the config")
  elseif core.file_id(path .. "-wal") then
    add(about, "fault", ("there is no file %s, while %s-wal is there"):format(path, path),
      "put the file back beside it: what was written last is in there")
  elseif not core.file_id(folder_of(path)) and folder_of(path) ~= "" then
    add(about, "fault", ("there is no file %s, and no folder for it"):format(path),
      "make the folder, or mount what is to be there; or name the right path")
  else
    local why = reason ~= "No such file or directory" and (" (%s)"):format(reason) or ""
    add(about, "fault", ("there is no file %s%s"):format(path, why), mend)
  end
  return nil, facts ~= nil
end

local function check_same(add, about, path, seen)
  local id = core.file_id(path)
  if seen[id] then
    add(about, "fault", ("%s is the file of %s as well"):format(path, seen[id]), "give each its own file")
  end
  seen[id] = seen[id] or about
end

---@class collegedb.DoctorFiles
---@field add fun(about: string, state: string, what: string, mend: string?) of files
---@field rights fun(about: string, state: string, what: string, mend: string?) of permissions

-- False when it is not there.
local function check_file(self, about, path, mend)
  if not shards.is_file(path) then return true end
  local facts, there = facts_of(self.add, about, path, mend)
  if not facts then return there end
  check_same(self.add, about, path, self.files)
  check_beside(self.rights, about, path, facts)
  check_rights(self.rights, about, path, facts)
  check_folder(self.rights, about, path, self.folders)
  check_disk(self.add, about, facts, self.devices)
  look_into(self.add, about, path, facts)
  if facts.mode & OTHERS_READ ~= 0 then self.open[#self.open + 1] = path end
  return true
end

--- Are all files of a config there? Faults of theirs are added.
---@param adder fun(topic: string): fun(about: string, state: string, what: string, mend: string?)
---@param settings table a normalized config
---@return boolean
function doctor_files.check(adder, settings)
  local self = { add = adder "files", rights = adder "permissions", files = {}, folders = {}, devices = {}, open = {} }
  local all = check_file(self, "directory", settings.kv, "put it back from a backup; or open the database, which makes "
    .. "one that learns from the shards where keys are: see docs/backup.md")
  for _, shard in ipairs(settings.shards) do
    local there = check_file(self, shard.name, shard.value.path, "put it back from a backup; if it is new, open the "
      .. "database, which makes an empty one")
    all = all and there
  end
  if #self.open > 0 then
    self.rights("files", "note", ("other users of this machine may read %s"):format(#self.open <= 3
      and table.concat(self.open, ", ") or ("%s and %d more"):format(self.open[1], #self.open - 1)),
      "if they are not to: chmod o= on the files, or on their folder")
  end
  return all
end

--- May others read the config's file, which has a secret in it?
---@param add fun(about: string, state: string, what: string, mend: string?)
---@param path string the config's file
---@param text string what is in it
function doctor_files.check_config(add, path, text)
  local facts = core.file_facts(path)
  local secret = text:match "%f[%w_](token)%s*=%s*[\"'%[]" or text:match "%f[%w_](mapping_secret)%s*=%s*[\"'%[]"
  if not facts or not secret or facts.mode & (OTHERS_READ | OTHERS_READ << 3) == 0 then return end
  local all = facts.mode & OTHERS_READ ~= 0
  local who = all and "every user of this machine" or "its group"
  add("config", all and "fault" or "note", ("%s has a %s in it, and %s may read it"):format(path, secret, who),
    ("chmod 600 %s, or take it from the environment"):format(path))
end

return doctor_files
