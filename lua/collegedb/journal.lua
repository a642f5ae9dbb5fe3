--- The journal of workflows: what a later process needs to go on where this one stopped.
--
-- One job for each workflow and subject (the id of a shard). It is written by whoever holds its claim, which
-- ends with the process; another one that does the same work meanwhile does it without a journal.

local core = require "collegedb.core"
local errors = require "collegedb.errors"
local json = require "collegedb.json"
local patience = require "collegedb.patience"
local record_check = require "collegedb.record_check"

local journal = {}

local Job = {}
Job.__index = Job

local function number_of(workflow, subject) return core.hash(workflow .. ":" .. subject) & 0x3fffffff end

--- The job, or nil when somebody is at it already, or the directory keeps no journal.
---@param directory table
---@param workflow string
---@param subject integer
---@return table|nil
function journal.claim(directory, workflow, subject)
  if not directory.keeps_journal then return nil end
  local number = number_of(workflow, subject)
  directory.claimed = directory.claimed or {} -- the lock keeps out other instances only
  if directory.claimed[number] or not directory:claim_work(number) then return nil end
  directory.claimed[number] = true
  return setmetatable({ directory = directory, workflow = workflow, subject = subject, number = number }, Job)
end

--- The number that the claim locks, and that one in the background claims by itself.
journal.number = number_of

--- What was noted: { signature, step, state }, or nil.
function Job:read()
  local row = self.directory.journal:first([[SELECT id, signature, step, state FROM _collegedb_jobs
    WHERE workflow = ? AND subject = ?]], { self.workflow, self.subject })
  if not row then return nil end
  self.id = row.id
  return { signature = row.signature, step = row.step,
    state = record_check.decoded(self.directory, "_collegedb_jobs", row.state) }
end

-- Many that write the directory at once may keep one of them out for longer than SQLite waits.
local PATIENCE = 60

local function change(job, f)
  local waiting = patience.new(PATIENCE)
  while true do
    local done, err = pcall(job.directory.journaled, job.directory, f, job.number)
    if done then return end
    if not errors.is_error(err, "BUSY") or not waiting:wait() then error(err, 0) end
  end
end

local function forget(tx, job)
  local id = tx:first("SELECT id FROM _collegedb_jobs WHERE workflow = ? AND subject = ?",
    { job.workflow, job.subject })
  if not id then return end
  for _, name in ipairs { "_collegedb_takes", "_collegedb_conflicts" } do
    tx:run(("DELETE FROM %s WHERE job = ?"):format(name), { id.id })
  end
  tx:run("DELETE FROM _collegedb_jobs WHERE id = ?", { id.id })
end

--- Begins anew: nothing of what was noted before counts.
function Job:begin(signature, step, state)
  change(self, function(tx)
    forget(tx, self)
    self.id = tx:first([[INSERT INTO _collegedb_jobs (workflow, subject, signature, step, state)
      VALUES (?, ?, ?, ?, ?) ON CONFLICT (workflow, subject) DO UPDATE SET signature = excluded.signature,
      step = excluded.step, state = excluded.state RETURNING id]],
      { self.workflow, self.subject, signature, step, json.encode(state) }).id
  end)
end

--- Notes the state, and the step that comes next.
function Job:note(step, state)
  change(self, function(tx)
    tx:run("UPDATE _collegedb_jobs SET step = ?, state = ? WHERE id = ?", { step, json.encode(state), self.id })
  end)
end

--- The work is done, or void: nothing is left of it.
function Job:forget()
  change(self, function(tx) forget(tx, self) end)
  self.id = nil
end

--- Others may go on with it.
function Job:release()
  self.directory.claimed[self.number] = nil
  self.directory:release_work(self.number)
end

return journal
