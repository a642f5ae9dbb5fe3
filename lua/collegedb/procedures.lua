--- What a shard without transactions over several statements is given, so that one statement does a whole step of a
-- move: views whose INSTEAD OF triggers do several things at once, or nothing, and triggers on `_collegedb_open`.
--
-- They hold of any keyspace and never change; what is made of a schema is in single_fence.lua. A condition that is not
-- met ends the statement with `collegedb:` and a word, which single_steps.lua turns into an error.

local core = require "collegedb.core"
local errors = require "collegedb.errors"
local fence = require "collegedb.fence"
local json = require "collegedb.json"
local patience = require "collegedb.patience"

local procedures = {}

--- SQL of the schema as users see it, as one text. D1's own tables come and go.
procedures.SCHEMA = [[(SELECT coalesce(group_concat(type || ' ' || name || ' ' || coalesce(sql, ''), char(10)), '')
  FROM (SELECT type, name, sql FROM sqlite_schema WHERE substr(name, 1, 11) <> '_collegedb_'
    AND substr(name, 1, 7) <> 'sqlite_' AND substr(name, 1, 4) <> '_cf_' ORDER BY type, name))]]

--- SQL of a condition: the fence of a keyspace is this one, and none of its triggers is missing.
---@param keyspace string SQL, as are the others
---@param tag string empty where the keyspace has no tables, and needs none
---@param triggers string how many there are
function procedures.stands(keyspace, tag, triggers)
  return ("(%s = '' OR (EXISTS (SELECT 1 FROM _collegedb_fence WHERE keyspace = %s AND text = %s) AND %s = %s))")
    :format(tag, keyspace, tag, procedures.count(tag), triggers)
end

--- SQL of how many triggers a fence has.
function procedures.count(tag)
  return ("(SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND substr(name, 1, length(%s) + 17) = "
    .. "'_collegedb_fence_' || %s)"):format(tag, tag)
end

--- SQL of a list of keys: JSON texts, or where a key has bytes that JSON has not, where they are among others.
---@param keys string SQL of the JSON
---@param bytes string SQL of the others
function procedures.key_list(keys, bytes)
  return ([[(SELECT CASE type WHEN 'array' THEN CAST(substr(%s, json_extract(value, '$[1]'),
    json_extract(value, '$[2]')) AS TEXT) ELSE value END AS key FROM json_each(%s))]]):format(bytes, keys)
end

local KEYS <const> = procedures.key_list("NEW.keys", "NEW.bytes")

local function abort(word, condition)
  return ("SELECT RAISE(ABORT, 'collegedb:%s') WHERE %s;"):format(word, condition)
end

local function take(state)
  return ("INSERT INTO _collegedb_own SELECT NEW.keyspace, key, '%s', NEW.move, 0, NEW.peer, NULL, NEW.at FROM %s "
    .. "WHERE NEW.state = '%s' %s;"):format(state, KEYS, state, fence.TAKING[state])
end

-- Asked a second time for the same it does nothing.
local TAKE <const> = table.concat({
  "CREATE TRIGGER IF NOT EXISTS _collegedb_do_take INSTEAD OF INSERT ON _collegedb_take BEGIN",
  abort("schema", "NEW.schema <> " .. procedures.SCHEMA),
  abort("fence", "NOT " .. procedures.stands("NEW.keyspace", "NEW.tag", "NEW.triggers")),
  abort("sealed", "NEW.state = 'receiving' AND EXISTS (SELECT 1 FROM _collegedb_seal)"),
  take "receiving", take "sending",
  abort("held", [[(SELECT count(*) FROM _collegedb_own WHERE move = NEW.move AND keyspace = NEW.keyspace
    AND state = NEW.state) <> json_array_length(NEW.keys)]]),
  [[INSERT INTO _collegedb_open SELECT NEW.move, NEW.keyspace, NEW.state, NEW.peer
    WHERE NOT EXISTS (SELECT 1 FROM _collegedb_open WHERE move = NEW.move);]], "END;\n" }, "\n")

-- Takes a move back at its source, also one that has not come there yet: of `keys` the floor is raised.
local UNDO <const> = ([[CREATE TRIGGER IF NOT EXISTS _collegedb_do_undo INSTEAD OF INSERT ON _collegedb_undo BEGIN
  DELETE FROM _collegedb_open WHERE move = NEW.move AND state = 'sending';
  INSERT INTO _collegedb_own SELECT NEW.keyspace, key, 'active', NEW.move, NEW.move, NULL, NULL, NEW.at FROM %s
    WHERE NOT EXISTS (SELECT 1 FROM _collegedb_own WHERE move = NEW.move AND state IN ('sent', 'tomb')) %s;
END;
]]):format(KEYS, fence.RAISING)

local SCRIPT <const> = table.concat { fence.OWN, [[
CREATE TABLE IF NOT EXISTS _collegedb_retired (tag TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS _collegedb_seal (yes INTEGER PRIMARY KEY CHECK (yes = 1));
CREATE TRIGGER IF NOT EXISTS _collegedb_do_retire AFTER UPDATE OF text ON _collegedb_fence
  WHEN OLD.text <> NEW.text BEGIN INSERT INTO _collegedb_retired VALUES (OLD.text); END;
CREATE TRIGGER IF NOT EXISTS _collegedb_do_remove AFTER DELETE ON _collegedb_fence BEGIN
  INSERT INTO _collegedb_retired VALUES (OLD.text); END;
CREATE TRIGGER IF NOT EXISTS _collegedb_do_commit AFTER UPDATE OF state ON _collegedb_open
  WHEN OLD.state = 'sending' AND NEW.state = 'sent' BEGIN
    UPDATE _collegedb_own SET state = 'sent', floor = NEW.move WHERE move = NEW.move AND state = 'sending'; END;
CREATE TRIGGER IF NOT EXISTS _collegedb_do_withdraw AFTER DELETE ON _collegedb_open WHEN OLD.state = 'sending' BEGIN
  UPDATE _collegedb_own SET state = 'active', floor = OLD.move, peer = NULL WHERE move = OLD.move
    AND state = 'sending'; END;
CREATE TRIGGER IF NOT EXISTS _collegedb_do_refuse AFTER DELETE ON _collegedb_open WHEN OLD.state = 'receiving' BEGIN
  DELETE FROM _collegedb_own WHERE move = OLD.move AND state = 'receiving' AND before IS NULL;
  UPDATE _collegedb_own SET state = 'tomb', peer = before WHERE move = OLD.move AND state = 'receiving'; END;
CREATE VIEW IF NOT EXISTS _collegedb_take AS SELECT 0 AS move, '' AS keyspace, '' AS state, '' AS peer, 0 AS at,
  '' AS keys, x'' AS bytes, '' AS tag, 0 AS triggers, '' AS schema;
CREATE VIEW IF NOT EXISTS _collegedb_undo AS SELECT 0 AS move, '' AS keyspace, 0 AS at, '' AS keys, x'' AS bytes;
]], TAKE, UNDO }

local ATTEMPTS <const> = 5

--- Runs a statement, or a script, that may be repeated, until its answer arrives.
---@param method "run"|"exec"
function procedures.sure(shard, method, ...)
  local waiting = patience.new(3600, 20, 2)
  for attempt = 1, ATTEMPTS do
    local done, answer = pcall(shard.handle[method], shard.handle, ...)
    if done then return answer end
    if not errors.is_error(answer, "OUTCOME_UNKNOWN") or attempt == ATTEMPTS then error(answer, 0) end
    waiting:wait()
  end
end

--- The word of a condition that was not met, if that is why the statement failed.
function procedures.word(err)
  return errors.is_error(err, "CONSTRAINT") and err.message:match "collegedb:(%l+)" or nil
end

--- Makes them where they are not there yet. The last of them is made last.
function procedures.make(shard)
  if shard.has_procedures then return end
  if not shard.inner:first "SELECT 1 AS yes FROM sqlite_schema WHERE name = '_collegedb_do_undo'" then
    procedures.sure(shard, "exec", SCRIPT)
  end
  shard.has_procedures = true
end

--- A list of keys, as the procedures take it.
---@param keys string[]
---@return string json
---@return userdata bytes
function procedures.keys(keys)
  local items, apart, size = {}, {}, 0
  for i, key in ipairs(keys) do
    items[i] = key
    if not utf8.len(key) or key:find("\0", 1, true) then
      items[i], apart[#apart + 1] = { 1, size + 1, #key }, key
      size = size + #key
    end
  end
  return json.encode(items), core.blob(table.concat(apart))
end

return procedures
