--- Who has a directory open that other machines share: a row in it with a lease, by the directory's own clock. Whoever
-- uses the directory renews the lease when half of it is gone; who did not for longer than that is not there any more,
-- and must enter again, and read the epoch, before it goes by anything that it remembers. The mapping cache of a
-- program remembers for less than half of a lease, so that what it holds has ended before.

local core = require "collegedb.core"
local errors = require "collegedb.errors"
local patience = require "collegedb.patience"
local single_store = require "collegedb.single_store"

local presence = {}

--- Seconds, by the directory's clock; and so many of them do not count here, since clocks do not go alike (20), and
-- since a statement that was begun before the end may arrive as late as its deadline lets it (60).
presence.lease, presence.margin = 180, 80
local PATIENCE <const> = 10 -- seconds, while another one is alone

local LIVE <const> = "until >= unixepoch()"
local OTHERS <const> = "EXISTS (SELECT 1 FROM _collegedb_users WHERE id <> ?1 AND " .. LIVE .. " AND %s)"

local ENTER <const> = ([[INSERT INTO _collegedb_users (id, placement, until) SELECT ?1, ?2, unixepoch() + ?3
  WHERE NOT %s AND coalesce(?2, 0) IN (0, (SELECT max(number) FROM _collegedb_placements))
  ON CONFLICT (id) DO UPDATE SET placement = coalesce(excluded.placement, placement), until = excluded.until
  RETURNING id]]):format(
  OTHERS:format "alone = 1")
-- BE_ALONE may come a second time, late: so whoever is not alone says so again.
local RENEW <const> = "UPDATE _collegedb_users SET until = unixepoch() + ?2, alone = alone AND ?3 WHERE id = ?1 AND "
  .. LIVE .. " RETURNING id"
local BE_ALONE <const> = "UPDATE _collegedb_users SET alone = 1, until = unixepoch() + ?2 WHERE id = ?1 AND " .. LIVE
  .. " AND NOT " .. OTHERS:format "true" .. " RETURNING id"

---@class collegedb.Presence
---@field id string
---@field placement integer? that it works in
---@field lapsed boolean? its lease has run out since it began to work in one
local Presence = {}
Presence.__index = Presence

---@param store collegedb.SingleStore
---@return collegedb.Presence
function presence.new(store) return setmetatable({ store = store, id = single_store.name(), ends = 0 }, Presence) end

-- Asks the directory for a new lease by a statement that gives a row if it is granted.
local function ask(self, sql, ...)
  local sent = core.now()
  if not self.store:first(sql, { self.id, ... }) then return false end
  self.ends = sent + (presence.lease - presence.margin) * 1000
  return true
end

--- Seconds for which it is certain that others see it.
function Presence:remaining() return (self.ends - core.now()) / 1000 end

--- Enters, or enters again; waits while another one is alone. With a placement, as one that works in it.
---@param placement integer?
---@return boolean entered false when there is a newer placement
function Presence:enter(placement)
  local waiting = patience.new(PATIENCE)
  repeat
    if ask(self, ENTER, placement or core.null, presence.lease) then
      self.placement = placement
      return true
    end
    local other = self.store:first("SELECT 1 AS yes WHERE " .. OTHERS:format "alone = 1", { self.id })
    if not other then return false end
  until not waiting:wait()
  errors.raise("BUSY", nil, "another program changes the directory %s, or has died doing so: try again in %d s",
    self.store.name, presence.lease)
end

--- Renews the lease when half of it is gone.
---@return boolean kept false when it had run out: then it is to enter again
function Presence:keep()
  local left = self:remaining()
  if left > (presence.lease - presence.margin) / 2 then return true end
  if left <= 0 or not ask(self, RENEW, presence.lease, self.is_alone and 1 or 0) then
    self.ends, self.placement, self.lapsed = 0, nil, true
    return false
  end
  return true
end

--- Works in a placement, and in no other one any more; false when there is a newer one.
---@param placement integer
function Presence:work_in(placement)
  local works = (self.placement == placement and self:keep()) or self:enter(placement)
  if works then self.lapsed = false end
  return works
end

--- Does nobody work in a placement below this one? None can begin to.
---@param placement integer
function Presence:is_over(placement)
  return self.store:first("SELECT 1 AS yes FROM _collegedb_users WHERE placement < ? AND " .. LIVE .. " LIMIT 1",
    { placement }) == nil
end

--- Runs `f` while no other one is there, nor can come; false if one is. What `f` changes is to ask for that by
-- `is_alone`.
function Presence:alone(f)
  if not self:keep() then self:enter() end
  if not ask(self, BE_ALONE, presence.lease) then return false end
  self.is_alone = true
  local done, err = pcall(f)
  self.is_alone = false
  local ended, why = pcall(self.store.run, self.store, "UPDATE _collegedb_users SET alone = 0 WHERE id = ?",
    { self.id })
  if not done then error(err, 0) end
  if not ended then error(why, 0) end
  return true
end

function Presence:leave()
  -- Its lease ends by itself.
  pcall(self.store.run, self.store, "DELETE FROM _collegedb_users WHERE id = ?", { self.id })
end

-- --- work that only one may do ------------------------------------------------------------------

local CLAIM <const> = ([[INSERT INTO _collegedb_claims VALUES (?2, ?1) ON CONFLICT (number) DO UPDATE SET user = ?1
  WHERE user = ?1 OR NOT EXISTS (SELECT 1 FROM _collegedb_users WHERE id = user AND %s) RETURNING number]]):format(LIVE)

--- Takes a piece of work; false while another one has it, who is there.
---@param number integer
function Presence:claim(number)
  if not self:keep() then self:enter() end
  return self.store:first(CLAIM, { self.id, number }) ~= nil
end

--- Seconds until a piece of work that another one has may be taken, if nothing is heard of it; nil when nobody has it.
---@return integer?
function Presence:taken_for(number)
  local row = self.store:first("SELECT until - unixepoch() AS remains FROM _collegedb_users WHERE id = "
    .. "(SELECT user FROM _collegedb_claims WHERE number = ?)", { number })
  return row and math.max(row.remains + 1, 1)
end

--- Is the work still this one's?
function Presence:holds(number)
  return self.store:first("SELECT 1 AS yes FROM _collegedb_claims WHERE number = ? AND user = ?", { number, self.id })
    ~= nil
end

function Presence:release(number)
  pcall(self.store.run, self.store, "DELETE FROM _collegedb_claims WHERE number = ? AND user = ?", { number, self.id })
end

return presence
