--- The catalog: what is known of the shards' tables. Read from their schemas
-- (inspect.lua) and judged by the rules: key column, kind of key, keyspace, group.
--
-- A table that follows no other is a root: its keys decide the shard. A member
-- follows its parent: its rows are where the parent's row is. One with a key of its own
-- has that as the key of its statements, which says nothing of the shard; such a
-- row is looked for. One without takes its parent's keys for its own.

local core = require "collegedb.core"
local errors = require "collegedb.errors"
local far_schema = require "collegedb.far_schema"
local inspect = require "collegedb.inspect"
local loader = require "collegedb.loader"
local quote = require "collegedb.quote"

local catalog = {}

local NAME_MAX = 255 -- bytes of a table's name, and of a keyspace; as in src/bind/bind.h

---@class collegedb.Table
---@field name string as the first shard that has it writes it
---@field key_column string what a bare key of its statements is compared with
---@field column integer? its number among the stored columns, from 0; none when it is computed
---@field kind "integer"|"text"|"numeric"|"blob" by the column's affinity; "integer" where it refers to integer keys
---@field keyspace string of integer keys; "" is the global one
---@field fold boolean the key compares NOCASE
---@field collation string? what a look for the key must say, where the column itself compares otherwise
---@field unique boolean
---@field refers boolean? the column holds the parent's keys
---@field member boolean its keys are rows' own inside a group, and decide no shard
---@field text_member boolean a string may be such a key, of this table or of one that it follows
---@field fold_text boolean strings by which its statements are keyed compare NOCASE, also those of tables it follows
---@field group { parent: string, root: string, column: string, target: string, follows: collegedb.Table? }?
--- the column that refers to `target` of the parent; `follows` where that is the parent's key
---@field shards table<integer, collegedb.Table> by the index of each shard that has it: what it is there, which may
--- differ in the order of its columns, in how it is written, and in what can be looked for in its group's column

-- SQLite's rules for a declared type, in their order (https://www.sqlite.org/datatype3.html, 3.1).
local function affinity(declared)
  local type = declared:upper()
  if type:find "INT" then return "integer" end
  if type:find "CHAR" or type:find "CLOB" or type:find "TEXT" then return "text" end
  if type:find "BLOB" or type == "" then return "blob" end
  if type:find "REAL" or type:find "FLOA" or type:find "DOUB" then return "real" end
  return "numeric"
end

-- The column, and its number from 0 among those that are stored, as SQLite counts them for check_keys.
local function find_column(info, name)
  local position = 0
  for _, column in ipairs(info.columns) do
    if quote.fold(column.name) == quote.fold(name) then return column, not column.virtual and position or nil end
    if not column.virtual then position = position + 1 end
  end
end

-- --- what the rules say ------------------------------------------------------------

local function wrong_rules(info, ...)
  local what = (...):format(select(2, ...))
  errors.raise("SCRIPT", { table = info.name }, "the rules say of table %s: %s", info.name, what)
end

-- A NUL byte separates a keyspace from its shard's tag.
local function check_keyspace(info, keyspace)
  if type(keyspace) == "string" and #keyspace <= NAME_MAX and not keyspace:find("\0", 1, true) then return end
  wrong_rules(info, "the keyspace %s; it is a string of at most %d bytes without NUL",
    type(keyspace) == "string" and ("%q"):format(keyspace:sub(1, 40)) or "of a " .. type(keyspace), NAME_MAX)
end

local function check_answer(info, answer)
  if type(answer) ~= "table" then wrong_rules(info, "a %s; it must be a table, or nil and a reason", type(answer)) end
  if answer.unknown then
    wrong_rules(info, "the field %s; there are key_column, keyspace, group and reference", answer.unknown)
  end
  if answer.keyspace ~= nil then check_keyspace(info, answer.keyspace) end
  if answer.key_column ~= nil and type(answer.key_column) ~= "string" then
    wrong_rules(info, "key_column is a %s; it must be a string", type(answer.key_column))
  end
  local group = answer.group
  if answer.reference or (group == nil and answer.key_column) then return answer end
  if group == nil then wrong_rules(info, "no key_column") end
  if type(group) ~= "table" or type(group.parent) ~= "string" or type(group.column) ~= "string" then
    wrong_rules(info, "group is no table { parent = name, column = name }")
  end
  return answer
end

local ANSWER = { key_column = true, keyspace = true, reference = true, group = true }

-- A plain copy, so that what a script's metatables do is done while the script is guarded.
local function answer_of(rules, info, infos)
  local answer, reason = rules.table(info, infos)
  if type(answer) ~= "table" then return answer, reason end
  local group = answer.group
  if type(group) == "table" then group = { parent = group.parent, column = group.column } end
  for field in pairs(answer) do
    if not ANSWER[field] then return { unknown = tostring(field) } end
  end
  return { key_column = answer.key_column, keyspace = answer.keyspace, reference = answer.reference, group = group }
end

local function ask(info, infos, rules, limit)
  local name = type(rules.name) == "string" and rules.name or "?"
  local answer, reason = loader.call("rules " .. name, limit, answer_of, rules, info, infos)
  -- nil: nothing could be found; false: it is left out on purpose, and that is no issue.
  if not answer then return answer, type(reason) == "string" and reason or "the rules leave it out" end
  return check_answer(info, answer)
end

-- --- tables of one shard -----------------------------------------------------------

local function column_named(info, what, name)
  local column, position = find_column(info, name)
  if column then return column, position end
  local names = {}
  for i, each in ipairs(info.columns) do names[i] = each.name end
  wrong_rules(info, "the %s %s, which it has not; its columns are %s", what, name, table.concat(names, ", "))
end

-- A table by its own key, or nil and the reason why it can not be one.
local function keyed(info, answer, bare)
  local column, position = column_named(info, "key column", answer.key_column)
  local kind = affinity(column.type)
  if kind == "real" then return nil, ("its key column %s holds floating-point numbers"):format(column.name) end
  if kind ~= "integer" and column.collation ~= "BINARY" and column.collation ~= "NOCASE" then
    return nil, ("its key column %s has the collation %s, by which different strings are one key"):format(column.name,
      column.collation)
  end
  local integer = kind == "integer"
  return {
    name = info.name, key_column = column.name, column = position, kind = kind, shards = {},
    keyspace = integer and not bare and (answer.keyspace or quote.fold(info.name)) or "",
    fold = not integer and column.collation == "NOCASE",
    unique = #info.primary_key == 1 and info.primary_key[1] == column.name, member = false,
  }
end

local function parent_column(info, group, parent)
  for _, foreign in ipairs(info.foreign_keys) do
    for i, name in ipairs(foreign.columns) do
      local same = quote.fold(foreign.parent) == quote.fold(group.parent)
      if same and quote.fold(name) == quote.fold(group.column) then return foreign.parent_columns[i] end
    end
  end
  return parent.key_column -- a group that only the rules know of
end

-- Can the column hold keys of the parent so that they are found in it?
local function holds_keys(column, parent)
  local kind = affinity(column.type)
  if parent.kind == "integer" then return kind ~= "text" and kind ~= "real" end
  return kind == "text" or kind == "blob" or kind == parent.kind
end

-- What the group's column is to the table: where it holds the parent's keys, the
-- table can be asked for those, by the parent's rules of what is one key.
local function group_of(info, answer, parent)
  local column, position = column_named(info, "group column", answer.group.column)
  local target = parent_column(info, answer.group, parent)
  local group = { parent = parent.name, root = parent.group and parent.group.root or parent.name,
    column = column.name, target = target }
  if target and quote.fold(target) == quote.fold(parent.key_column) and holds_keys(column, parent) then
    local wanted = parent.fold and "NOCASE" or "BINARY"
    group.follows = {
      name = info.name, key_column = column.name, column = position, keyspace = parent.keyspace, fold = parent.fold,
      kind = parent.kind == "integer" and "integer" or affinity(column.type),
      collation = parent.kind ~= "integer" and column.collation ~= wanted and wanted or nil,
      unique = #info.primary_key == 1 and info.primary_key[1] == column.name, member = parent.member, refers = true,
    }
  end
  return group
end

-- A table that follows `parent`.
local function member(info, answer, parent, bare)
  local group = group_of(info, answer, parent)
  local follows = group.follows
  local own = answer.key_column
  if own and not (follows and quote.fold(own) == quote.fold(follows.key_column)) then
    local found, reason = keyed(info, answer, bare)
    if not found then return nil, reason end
    found.member, found.group = true, group
    return found
  end
  if not follows then
    return nil, ("its column %s does not hold the keys of %s; name its own key column in the rules"):format(
      group.column, parent.name)
  end
  local found = { shards = {}, group = group }
  for field, value in pairs(follows) do found[field] = value end
  return found
end

local judge -- a table, after its parent

-- The parent as a table; nil when it has no key or is itself on the way to this one.
local function parent_of(self, info, answer)
  local parent = self.infos[answer.group.parent]
  if not parent then wrong_rules(info, "the parent %s, which shard %s has not", answer.group.parent, info.shard) end
  if self.judging[parent] or parent == info then return nil end
  return judge(self, parent)
end

local function judge_now(self, info)
  local answer, reason = ask(info, self.infos, self.rules, self.limit)
  if answer == nil then return nil, reason end
  if not answer then return nil, reason, "left out" end
  if answer.reference then
    return nil, "it is a reference table: every shard has its own copy of it", "reference"
  end
  if #info.name > NAME_MAX then
    return nil, ("its name has more than %d bytes, and can not be routed"):format(NAME_MAX)
  end
  local parent = answer.group and parent_of(self, info, answer)
  if parent then return member(info, answer, parent, self.bare) end
  if answer.key_column then return keyed(info, answer, self.bare) end
  return nil, ("it follows %s, which has no key of its own"):format(answer.group.parent)
end

-- With the name of the rules in what is said about them.
local function judge_named(self, info)
  local results = table.pack(pcall(judge_now, self, info))
  if results[1] then return table.unpack(results, 2, results.n) end
  local err = results[2]
  if errors.is_error(err, "SCRIPT") then
    err.message = err.message:gsub("^the rules say", ("the rules %s say"):format(tostring(self.rules.name)))
  end
  error(err, 0)
end

function judge(self, info)
  local done = self.done[info]
  if not done then
    self.judging[info] = true
    done = table.pack(judge_named(self, info))
    self.judging[info] = nil
    self.done[info] = done
  end
  return table.unpack(done, 1, done.n)
end

--- A judge of one shard's tables: a function from a table's info to what it is, or nil, the reason why it
-- is nothing, and "reference" or "left out" where the rules want it so.
---@param infos collegedb.TableInfo[] of inspect.tables
---@param rules table
---@param limit integer script_limit
---@param bare boolean? without keyspaces: 17 is one key in all tables
---@return fun(info: collegedb.TableInfo): collegedb.Table?, string?, string?
function catalog.judge_of(infos, rules, limit, bare)
  local self = { infos = infos, rules = rules, limit = limit, bare = bare, judging = {}, done = {} }
  return function(info) return judge(self, info) end
end

-- --- the tables of all shards ------------------------------------------------------

local function leave_out(self, info, reason, index, why)
  local folded = quote.fold(info.name)
  local entry = self.unkeyed[folded] or {
    name = info.name, reason = reason, shards = {}, is_view = info.kind == "view", on_purpose = why,
  }
  entry.shards[index] = true
  self.unkeyed[folded] = entry
end

local function describe(found)
  local group = found.group and (" of the group of " .. found.group.parent) or ""
  return ("%s (%s)%s"):format(found.key_column, found.kind, group)
end

local function same_name(a, b) return a == b or (a and b and quote.fold(a) == quote.fold(b)) end

-- Is a table the same on two shards, in all that decides where a key is?
local function is_same(a, b)
  local one, other = a.group or {}, b.group or {}
  return a.kind == b.kind and a.fold == b.fold and a.keyspace == b.keyspace and a.member == b.member
    and same_name(a.key_column, b.key_column) and same_name(one.parent, other.parent)
    and same_name(one.column, other.column)
end

local function add_table(self, index, info, found)
  local folded = quote.fold(info.name)
  local known = self.tables[folded] or found
  if not is_same(known, found) then
    return leave_out(self, info, ("its key is %s, but %s on the shards before it"):format(describe(found),
      describe(known)), index)
  end
  self.tables[folded] = known
  known.shards[index] = found
end

local function add_shard(self, index, shard, rules, limit)
  local infos = inspect.tables(shard.inner, shard.name)
  local judged = catalog.judge_of(infos, rules, limit, self.bare)
  for _, info in ipairs(infos) do
    local found, reason, why = judged(info)
    if found then add_table(self, index, info, found) else leave_out(self, info, reason, index, why) end
  end
end

--- The tables that a key of a statement of the table may be of: itself, and those that it follows, up to the root.
---@param found collegedb.Table?
---@return fun(): collegedb.Table?
function catalog.line(self, found)
  return function()
    local now = found
    found = now and now.group and self.tables[quote.fold(now.group.parent)]
    return now
  end
end

-- What a string may be that a statement of the table is keyed by.
local function note_strings(self, found)
  found.text_member, found.fold_text = false, found.fold
  local first = true
  for each in catalog.line(self, found) do
    if each.keyspace == "" then
      found.text_member = found.text_member or each.member
      found.fold_text = each.fold and (first or found.fold_text)
      first = false
    end
  end
end

local function lesser(a, b) return a and a < b and a or b end

-- What a string is that comes without a table: folded where all that it may be compares NOCASE. Where only the groups'
-- keys do, it is folded for those (members.root_text); where some do and others do not, capitals are ambiguous.
local function note_bare_strings(self)
  local folds, exact, own = nil, nil, false
  for _, each in pairs(self.tables) do
    local text = each.keyspace == "" and each.kind ~= "integer"
    if text and each.group then own = own or (each.member and not each.fold)
    elseif text and each.fold then folds = lesser(folds, each.name)
    elseif text then exact = lesser(exact, each.name) end
  end
  self.fold_roots = folds ~= nil and exact == nil
  self.fold_text = self.fold_roots and not own
  self.either = folds and exact and { folds, exact }
end

local function note_members(self)
  note_bare_strings(self)
  for _, each in pairs(self.tables) do
    note_strings(self, each)
    self.text_members = self.text_members or each.text_member
    if each.keyspace ~= "" then
      if self.members[each.keyspace] == not each.member then
        errors.raise("SCRIPT", { table = each.name }, "the rules give %s the keyspace %s, which holds keys that decide "
          .. "a shard and keys of rows inside groups: those need one of their own", each.name, each.keyspace)
      end
      self.members[each.keyspace] = each.member
    end
  end
end

--- Builds the catalog of all shards.
---@param shards { name: string, inner: userdata }[]
---@param bare boolean? without keyspaces: 17 is one key in all tables
function catalog.build(shards, rules, limit, bare)
  local self = {
    bare = bare,
    tables = {},   -- by folded name: collegedb.Table
    unkeyed = {},  -- by folded name: { name, reason, shards }, what has no key, or another one on some shards
    versions = {}, -- by shard index: its schema version
    looked = core.now(), -- when the versions were read, or found to be the same
    members = {},  -- by keyspace of integers: true where all its keys are rows' own inside a group
    text_members = false, -- whether a string may be such a key
  }
  local inner = {}
  for index, shard in ipairs(shards) do inner[index] = shard.inner end
  self.versions = inspect.versions(inner, true) -- first: what changes meanwhile is looked at again
  for index, shard in ipairs(shards) do
    add_shard(self, index, shard, rules, limit)
  end
  note_members(self)
  return self
end

--- Has a schema changed?
---@param shards table[]
---@param changed boolean this program may have changed one since the last look. If not, those that are far away are
-- asked only now and then: it costs as much as the statement that is to be routed
function catalog.is_stale(self, shards, changed)
  local lately, asked, at = not changed and core.now() - self.looked < far_schema.lately, {}, {}
  for index, shard in ipairs(shards) do
    if not (lately and core.kind(shard.inner) == "d1") then asked[#asked + 1], at[#asked + 1] = shard.inner, index end
  end
  for i, version in ipairs(inspect.versions(asked, true)) do
    if self.versions[at[i]] ~= version then return true end
  end
  if not lately then self.looked = core.now() end
  return false
end

-- --- where keys are held -------------------------------------------------------------

local function by_name(a, b) return a.name < b.name end

--- The columns of shard `index` that hold the keys which decide a shard: key columns of roots, and columns by
-- which members follow them. In order of the table's name.
---@return collegedb.Table[]
function catalog.key_columns(self, index)
  local list = {}
  for _, each in pairs(self.tables) do
    local here = each.shards[index]
    local held = here and here.member and here.group.follows or here
    if held and not held.member then list[#list + 1] = held end
  end
  table.sort(list, by_name)
  return list
end

--- The tables of shard `index` whose rows need no entry, because they are where the rows are that they follow: those
-- that hold no key which decides a shard.
---@return collegedb.Table[]
function catalog.followers(self, index)
  local list = {}
  for _, each in pairs(self.tables) do
    local here = each.shards[index]
    local follows = here and here.member and here.group.follows
    if here and here.member and not (follows and not follows.member) then list[#list + 1] = here end
  end
  table.sort(list, by_name)
  return list
end

--- The columns of shard `index` that hold keys of a keyspace.
---@param keyspace string without a shard's tag
---@param what "rows"|"parts"|nil keys that decide a shard; or those of rows inside a group, where they
--- are the rows' own ("rows"), or where other rows refer to them ("parts")
---@return collegedb.Table[]
function catalog.in_keyspace(self, index, keyspace, what)
  local list = {}
  local function add(each)
    if not each or each.keyspace ~= keyspace or each.member ~= (what ~= nil) then return end
    if not what or (each.refers or false) == (what == "parts") then list[#list + 1] = each end
  end
  for _, each in pairs(self.tables) do
    local here = each.shards[index]
    if here then
      add(here)
      if here.member then add(here.group.follows) end
    end
  end
  table.sort(list, by_name)
  return list
end

-- Without keyspaces a string such as " 17" or "1e1" is another key than the integer that SQLite would make of it.
local BARE_INTEGER = "(%1$s = %2$s AND CAST(%1$s AS TEXT) = %2$s)"

-- A column without a type holds a key as whatever it was written: text, blob or integer.
local ANY_TYPE = [[%1$s IN (%2$s, CAST(%2$s AS BLOB),
  CASE WHEN CAST(%2$s AS TEXT) = CAST(CAST(%2$s AS INTEGER) AS TEXT) THEN CAST(%2$s AS INTEGER) END)]]

--- SQL of a condition: the column holds a key.
---@param column collegedb.Table
---@param key string? SQL of it; ?1
function catalog.holds_sql(column, key)
  local name = quote.name(column.key_column)
  if column.collation then name = name .. " COLLATE " .. column.collation end
  local parts = { ["1"] = name, ["2"] = key or "?1" }
  local bare = column.kind == "integer" and column.keyspace == ""
  return ((column.kind == "blob" and ANY_TYPE or bare and BARE_INTEGER or "%1$s = %2$s"):gsub("%%(%d)%$s", parts))
end

-- The condition that one of the columns holds a key.
---@param key string SQL of it
local function any_holds(columns, key)
  local parts = {}
  for i, each in ipairs(columns) do
    local holds = catalog.holds_sql(each, key)
    -- One with capitals is another table's, which does not compare NOCASE.
    if each.fold and not each.member then holds = ("%s AND %s = lower(%s)"):format(holds, key, key) end
    parts[i] = ("EXISTS (SELECT 1 FROM %s WHERE %s)"):format(quote.name(each.name), holds)
  end
  return quote.joined(parts, "OR")
end

--- SQL that gives a row when one of the columns holds the key ?1, or nil without columns.
---@param columns collegedb.Table[]
function catalog.probe_sql(columns)
  return #columns > 0 and "SELECT '' AS found WHERE " .. any_holds(columns, "?1") or nil
end

--- SQL that gives the positions, from 0, of those keys in the JSON array ?1 that one of the columns holds.
---@param columns collegedb.Table[]
function catalog.probe_many_sql(columns)
  return "SELECT k.key AS position FROM json_each(?1) AS k WHERE " .. any_holds(columns, "k.value")
end

-- --- keyspaces -------------------------------------------------------------------------

--- Keyspaces of a shard that has a `keyspace` of its own carry it as a tag in front.
function catalog.tag(tag, keyspace) return tag and tag .. "\0" .. keyspace or keyspace end

--- The tag, or nil, and the keyspace without it.
function catalog.untag(keyspace)
  local at = keyspace:find("\0", 1, true)
  if not at then return nil, keyspace end
  return keyspace:sub(1, at - 1), keyspace:sub(at + 1)
end

--- A key as the tables of a keyspace hold it: an integer, or a string.
function catalog.key_value(keyspace, text) return keyspace ~= "" and core.decimal(text) or text end

return catalog
