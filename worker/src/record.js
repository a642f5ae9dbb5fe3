// What the main object knows of the directory's record: its SQL is the Lua client's (lua/collegedb/single_tables.lua);
// here is only what the ranges go by, and what a Worker does without a Lua program.
import { valueOf } from "./rows.js";

// As in lua/collegedb/directory.lua, for a Worker that comes before any Lua program.
const TABLES = [
  "CREATE TABLE IF NOT EXISTS _collegedb_counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
  `CREATE TABLE IF NOT EXISTS _collegedb_shards (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, keyspace TEXT, integrated INTEGER NOT NULL DEFAULT 0,
  conflicts INTEGER NOT NULL DEFAULT 0, schema INTEGER NOT NULL DEFAULT 0, generation INTEGER NOT NULL DEFAULT 0,
  drained INTEGER NOT NULL DEFAULT 0, -- 1: gets no new keys, 2: empty, and refuses rows
  settings TEXT -- of one that was added while programs ran
  )`,
  "CREATE TABLE IF NOT EXISTS _collegedb_placements (number INTEGER PRIMARY KEY, family TEXT NOT NULL)",
  "INSERT OR IGNORE INTO _collegedb_counters VALUES ('format', 1), ('epoch', 1)",
];

export function makeTables(sql) {
  for (const text of TABLES) sql.exec(text);
}

// A number made of the digest of "collegedb" under no mapping_secret: directory.mark.
const MARK = "2043906565079654224";

// Keys given as strings are hashed without a secret: whoever writes the first one settles that there is none.
export const SETTLE = `INSERT INTO _collegedb_counters SELECT 'version', 0 UNION ALL SELECT 'identity', random()
  UNION ALL SELECT 'secret', ${MARK} WHERE NOT EXISTS (SELECT 1 FROM _collegedb_counters WHERE name = 'secret')
  ON CONFLICT DO NOTHING`;

// What single entries are claimed and written by: a range has it as long as its lease goes.
export function termsOf(sql) {
  const mark = valueOf(sql, "SELECT CAST(value AS TEXT) FROM _collegedb_counters WHERE name = 'secret'");
  return {
    settled: mark !== undefined,
    plain: (mark ?? MARK) === MARK,
    epoch: valueOf(sql, "SELECT value FROM _collegedb_counters WHERE name = 'epoch'"),
    shards: [...sql.exec("SELECT id, name, drained, integrated, keyspace FROM _collegedb_shards ORDER BY id")],
    family: valueOf(sql, "SELECT family FROM _collegedb_placements ORDER BY number DESC LIMIT 1") ?? null,
  };
}
