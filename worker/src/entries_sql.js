// Statements on a range's entries. Digests come as hexadecimal digits; lists as one JSON text, in which whole numbers
// stay such.
import { valueOf } from "./rows.js";

const TABLES = [
  `CREATE TABLE IF NOT EXISTS entries (
    digest BLOB PRIMARY KEY, shard INTEGER NOT NULL, version INTEGER NOT NULL) WITHOUT ROWID`,
  "CREATE TABLE IF NOT EXISTS applied (seq INTEGER NOT NULL)",
  "INSERT INTO applied SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM applied)",
];

// Makes what is not there; answers up to where the log was done.
export function makeTables(sql) {
  for (const text of TABLES) sql.exec(text);
  return valueOf(sql, "SELECT seq FROM applied");
}

export function setApplied(sql, seq) {
  sql.exec("UPDATE applied SET seq = ?", seq);
}

const LIST = "json_each(?1)";

// --- what a change does, in the order of the trigger in lua/collegedb/single_tables.lua ---------------

const VOID = `FROM entries WHERE version = 0 AND shard IN (SELECT value FROM ${LIST})`;

const DO = {
  void: `DELETE ${VOID}`,
  drop: `DELETE FROM entries WHERE shard IN (SELECT value FROM ${LIST})`,
  forget: `DELETE FROM entries WHERE digest IN (SELECT unhex(value ->> 0) FROM ${LIST})`,
  assign: `INSERT INTO entries SELECT unhex(value ->> 0), value ->> 1, 1 FROM ${LIST} WHERE true
    ON CONFLICT (digest) DO UPDATE SET shard = excluded.shard, version = version + 1`,
  fresh: `INSERT INTO entries SELECT unhex(value ->> 0), value ->> 1, value ->> 2 FROM ${LIST}`,
};

export function doWhat(sql, what) {
  if (what.all) sql.exec("DELETE FROM entries");
  for (const [name, text] of Object.entries(DO)) if (what[name]?.length) sql.exec(text, JSON.stringify(what[name]));
}

const RACED = [
  ["fresh", `SELECT EXISTS (SELECT 1 FROM ${LIST} CROSS JOIN entries ON digest = unhex(value ->> 0))`],
  ["forget", `SELECT EXISTS (SELECT 1 FROM ${LIST} WHERE NOT EXISTS (SELECT 1 FROM entries
    WHERE digest = unhex(value ->> 0) AND shard = value ->> 1 AND version = value ->> 2))`],
  ["unused", `SELECT EXISTS (SELECT 1 FROM ${LIST} CROSS JOIN entries ON shard = value)`],
];

// Whether something is not as a change takes it to be; else how many entries it ends.
export function lookAt(sql, checks) {
  for (const [name, text] of RACED) {
    if (checks[name]?.length && valueOf(sql, text, JSON.stringify(checks[name]))) return { raced: true };
  }
  const all = checks.all ? valueOf(sql, "SELECT count(*) FROM entries") : 0;
  const found = checks.void?.length ? valueOf(sql, `SELECT count(*) ${VOID}`, JSON.stringify(checks.void)) : 0;
  return { count: all + found };
}

// --- single entries ------------------------------------------------------------------------------

export function entryOf(sql, digest) {
  const [row] = sql.exec("SELECT shard, version FROM entries WHERE digest = unhex(?)", digest);
  return row ?? null;
}

export function insert(sql, digest, shard) {
  sql.exec("INSERT INTO entries VALUES (unhex(?), ?, 1)", digest, shard);
}

export function update(sql, digest, shard, version) {
  sql.exec("UPDATE entries SET shard = ?2, version = ?3 WHERE digest = unhex(?1)", digest, shard, version);
}

// --- many entries ----------------------------------------------------------------------------------

const AT_HOME = "EXISTS (SELECT 1 FROM entries WHERE digest = unhex(e.value ->> 0))";
const PUBLISH = (which) => `INSERT INTO entries SELECT unhex(value ->> 0), value ->> 1, value ->> 2 FROM ${LIST} AS e
  WHERE ${which} ON CONFLICT (digest) DO UPDATE SET shard = excluded.shard, version = excluded.version
  WHERE version < excluded.version`;

// [digest, shard, version] each; with `home` only those that are there.
export function publish(sql, list, home) {
  sql.exec(PUBLISH(home ? AT_HOME : "true"), JSON.stringify(list));
}

// The entries of digests: [position in the list, shard, version].
export function known(sql, digests) {
  return [...sql.exec(`SELECT key, shard, version FROM ${LIST} CROSS JOIN entries ON digest = unhex(value)`,
    JSON.stringify(digests)).raw()];
}

// [shard, entries, how many of them were found in the shard's data].
export function counts(sql) {
  return [...sql.exec("SELECT shard, count(*), sum(version = 0) FROM entries GROUP BY shard").raw()];
}

// The digests behind `after`, in order.
export function page(sql, after, limit) {
  return [...sql.exec("SELECT lower(hex(digest)) FROM entries WHERE digest > unhex(?) ORDER BY digest LIMIT ?", after,
    limit).raw()].map(([digest]) => digest);
}
