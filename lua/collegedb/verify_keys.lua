--- Rows against where their keys resolve: of each key that decides a shard, whether the router goes where its rows are;
-- of rows inside groups, whether their own keys are on one shard only, and whether what they follow is there.
--
-- Programs go on meanwhile. What looks wrong is looked at again until no move went a step further in between.

local catalog = require "collegedb.catalog"
local core = require "collegedb.core"
local errors = require "collegedb.errors"
local existing_keys = require "collegedb.existing_keys"
local fence = require "collegedb.fence"
local key_pages = require "collegedb.key_pages"
local loader = require "collegedb.loader"
local members = require "collegedb.members"
local patience = require "collegedb.patience"
local probe = require "collegedb.probe"
local published = require "collegedb.verify_published"
local quote = require "collegedb.quote"
local reports = require "collegedb.verify_report"
local router = require "collegedb.router"

local verify_keys = {}

local LOOKS <const> = 8 -- while the key moves

-- --- one key ----------------------------------------------------------------------------

-- What the router may say of a key that has no place to go to.
local NOWHERE <const> = { SHARD_NOT_FOUND = true, NO_SHARDS = true, FULL = true, SCRIPT = true }

-- Where the router goes for the key, or nil when nothing certain says where; and why.
local function resolve(state, key)
  local done, index, why = pcall(router.resolve, state, key.full, key.text, key.root, false)
  if done then return why ~= router.UNCLAIMED and index or nil, why end
  if errors.is_error(index) and NOWHERE[index.code] then return nil, nil end
  error(index, 0)
end

local function own_row(state, index, key) return fence.own_row(state.shards[index].inner, key.keyspace, key.text) end

-- Where statements end that the router sends to shard `index`: as lua/collegedb/forward.lua, but nothing is written.
local function follow(state, index, key)
  for _ = 1, 2 * #state.shards do
    local own = index and own_row(state, index, key)
    if not own or own.state == "active" or own.state == "sending" then return index end
    index = state.by_name[own.peer]
  end
  return index
end

-- The shards that have rows of the key; what is sent and not yet cleared is on its way, and not there any more.
local function places(state, key)
  local list = {}
  for index in ipairs(state.shards) do
    if probe.has_rows(state, index, key.tag, key.keyspace, key.text) then
      local own = own_row(state, index, key)
      if not own or own.state ~= "sent" then list[#list + 1] = index end
    end
  end
  return list
end

local UNDER_WAY <const> = { sending = true, sent = true, receiving = true }

-- All that the shards say of the key, as one string that another step of a move changes; nil while one is under way.
local function standing(state, key)
  local list = {}
  for index in ipairs(state.shards) do
    local own = own_row(state, index, key)
    if own and UNDER_WAY[own.state] then return nil end
    list[index] = own and own.state .. own.move or ""
  end
  return table.concat(list, ",")
end

-- Where the router goes, where rows are, why, and the entry's version, as of one moment in which the key does not
-- move; nil if it always does, or is held by a move that is left over.
local function look(state, key)
  local waiting = patience.new(5)
  for _ = 1, LOOKS do
    local before = standing(state, key)
    local _, _, version = state.directory:lookup(key.full, key.text)
    local index, why = resolve(state, key)
    local at, list = follow(state, index, key), places(state, key)
    local well = #list == 0 or (#list == 1 and list[1] == at)
    if well or (before and standing(state, key) == before) then return at, list, why, version end
    if not waiting:wait() then return nil end
  end
end

-- The shard, of several that have rows of the key, to which a move has brought it last; nil when nothing tells. An
-- entry of a later move would tell of another one. The own row of a key that came says from where; that of one which
-- stayed, because its move was undone, does not.
local function latest(state, key, list)
  local _, id, version = state.directory:lookup(key.full, key.text)
  local best, floor, second, came = nil, 0, 0, nil
  for _, index in ipairs(list) do
    local own = own_row(state, index, key)
    local mine = own and own.state == "active" and own.floor or 0
    if id and id ~= state.shards[index].id then second = math.max(second, version) end
    if mine > floor then best, floor, second, came = index, mine, math.max(second, floor), own.peer
    else second = math.max(second, mine) end
  end
  return came and floor > second and best or nil, floor
end

-- --- what is found -------------------------------------------------------------------------

local function names_of(state, list)
  local names = {}
  for i, index in ipairs(list) do names[i] = state.shards[index].name end
  return table.concat(names, ", ")
end

local function finding(run, kind, key, index, other, advice)
  local shards = run.state.shards
  return { kind = kind, key = catalog.key_value(key.keyspace, key.text), table = key.table, keyspace = key.tag,
    shard = shards[index].name, other_shard = other and shards[other].name, advice = advice }
end

-- Do the rules say that a key is on two shards as it should be?
local function is_kept(run, key, mapped, index)
  local state = run.state
  local policy = state.rules.conflict
  if not policy then return false end
  local names = state.shards
  return loader.call("rules " .. (state.rules.name or "?"), state.config.script_limit, policy,
    catalog.key_value(key.keyspace, key.text), names[mapped].name, names[index].name, key.table) == "keep"
end

local function add_doubled(run, key, at, list)
  local state = run.state
  local right, floor = latest(state, key, list)
  local index = list[1] ~= at and list[1] or list[2]
  for _, each in ipairs(list) do
    if each ~= (right or at) then index = each end
  end
  if is_kept(run, key, at or list[1], index) then
    run.report.kept = run.report.kept + 1
    return
  end
  local advice = ("rows of it are on %s: compare them, and delete those that are wrong by db:shard(name)"):format(
    names_of(state, list))
  if right then
    advice = ("move %d brought it to %s; the rows on the others are older: look at them, and delete them"):format(floor,
      state.shards[right].name)
    if run.repair and right ~= at and state.directory.keeps_journal then
      state.directory:publish_all { { keyspace = key.full, text = key.text, id = state.shards[right].id,
        version = floor } }
      reports.repaired(run.report, "%s is looked for on %s, where its last move brought it; its rows on the others "
        .. "stay", key.text, state.shards[right].name)
    end
  end
  reports.add(run.report, finding(run, "doubled", key, index, at or (list[1] ~= index and list[1] or list[2]), advice),
    true)
end

local function add_elsewhere(run, key, at, index, version)
  local state = run.state
  local kind = at and "misplaced" or "unmapped"
  if run.repair then
    -- If it has changed since it was looked at, others have set it right.
    if state.directory:correct(key.full, key.text, version, state.shards[index].id) then
      reports.repaired(run.report, "%s of %s has an entry now: its rows are on %s", key.text, key.table,
        state.shards[index].name)
    end
    return
  end
  local advice = "give it an entry: verify with repair, or db:mapper():set_shard_mapping(key, %q)"
  reports.add(run.report, finding(run, kind, key, index, at, advice:format(state.shards[index].name)))
end

local function check_again(run, key, digest)
  local at, list, why, version = look(run.state, key)
  if not list then return end
  if #list == 0 or (#list == 1 and list[1] == at) then
    if why == router.FOUND then run.report.probed = run.report.probed + 1 end
    return
  end
  if not run.seen:tell(digest) then return end
  if #list > 1 then add_doubled(run, key, at, list) else add_elsewhere(run, key, at, list[1], version) end
end

local function check_key(run, index, key)
  local digest = core.digest(key.full, key.text, run.state.directory.secret)
  local new = run.seen:note(digest, index)
  if new then run.report.keys = run.report.keys + 1 end
  local at, why = resolve(run.state, key)
  if at ~= index then return check_again(run, key, digest) end
  if new and why == router.FOUND then run.report.probed = run.report.probed + 1 end
end

-- --- columns -----------------------------------------------------------------------------------

local function root_of(state, found)
  local known = state.catalog.tables[quote.fold(found.name)]
  return known and known.group and known.group.root or found.name
end

--- Checks the keys of a column that decide a shard.
---@param run table of lua/collegedb/workflows/verify.lua
---@param found collegedb.Table
function verify_keys.roots(run, index, found)
  local state = run.state
  local shard = state.shards[index]
  local tag = found.keyspace ~= "" and shard.keyspace or nil
  local full, root = catalog.tag(tag, found.keyspace), root_of(state, found)
  for page in key_pages.each(shard.inner, found) do
    local keys = {}
    for _, row in ipairs(page) do
      local text = existing_keys.text_of(found, row.value)
      if text then keys[#keys + 1] = { keyspace = full, text = text }
      else run.report.unusable = run.report.unusable + row.rows end
    end
    published.page(run, index, found, keys, function()
      state.directory:foreseeing(keys, function()
        for _, key in ipairs(keys) do
          check_key(run, index, { full = full, tag = tag, keyspace = found.keyspace, text = key.text,
            table = found.name, root = root })
        end
      end)
    end)
    if not run.tell(page, found.name) then return end
  end
end

-- Is a row's own key on two shards, also when no move is under way?
local function is_ambiguous(state, tag, keyspace, text)
  local done, err = pcall(members.find, state, tag, keyspace, text)
  if done then return false end
  if errors.is_error(err, "CONFLICT") then return true end
  error(err, 0)
end

--- Checks that the own keys of rows inside groups are on one shard only.
---@param found collegedb.Table
function verify_keys.members(run, index, found)
  local state = run.state
  local shard = state.shards[index]
  local tag = found.keyspace ~= "" and shard.keyspace or nil
  local full = catalog.tag(tag, found.keyspace)
  for page in key_pages.each(shard.inner, found) do
    for _, row in ipairs(page) do
      local text = existing_keys.text_of(found, row.value)
      local digest = text and core.digest("\1" .. full, text, state.directory.secret)
      if digest and not run.seen:note(digest, index) then
        local other = run.seen:shard_of(digest)
        if other ~= index and is_ambiguous(state, tag, found.keyspace, text) and run.seen:tell(digest) then
          reports.add(run.report, finding(run, "doubled", { keyspace = found.keyspace, text = text, table = found.name,
            tag = tag }, index, other, "a row of another group has the same key: give one another key, or the shards "
            .. "a keyspace each"), true)
        end
      end
    end
    if not run.tell(page, found.name) then return end
  end
end

-- The shard that has the parent of an orphan, or nil.
local function parent_of(state, index, parent, target, value)
  for other, shard in ipairs(state.shards) do
    if other ~= index and parent.shards[other] and shard.inner:first(("SELECT 1 AS yes FROM %s WHERE %s = ?"):format(
      quote.name(parent.name), quote.name(target)), { value }) then
      return other
    end
  end
end

local function add_orphan(run, index, each, parent, target, row)
  local other = parent_of(run.state, index, parent, target, row.value)
  local advice = other and ("the row of %s is on %s: insert these rows there, and delete them here"):format(parent.name,
    run.state.shards[other].name) or ("insert the row of %s, or delete these"):format(parent.name)
  reports.add(run.report, { kind = "orphaned", key = row.value, table = each.name, shard = run.state.shards[index].name,
    other_shard = other and run.state.shards[other].name, rows = row.rows, advice = advice }, true, row.rows)
end

--- Checks that what the rows of a table follow is on their shard.
---@param each collegedb.Table with a group
function verify_keys.orphans(run, index, each)
  local state = run.state
  local parent = state.catalog.tables[quote.fold(each.group.parent)]
  local target = each.group.target or parent.key_column
  local column = { name = each.name, key_column = each.group.column, kind = "text" }
  local missing = ("NOT EXISTS (SELECT 1 FROM %s AS p WHERE p.%s = t.%s)"):format(quote.name(parent.name),
    quote.name(target), quote.name(each.group.column))
  for page in key_pages.each(state.shards[index].inner, column, missing) do
    for _, row in ipairs(page) do
      if row.extra == 1 then add_orphan(run, index, each, parent, target, row) end
    end
    if not run.tell(page, each.name) then return end
  end
end

return verify_keys
