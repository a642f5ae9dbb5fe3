// What the main object counts and lends under a name: numbers that rise, turns, and leases of anything.
import { valueOf } from "./rows.js";

export const TABLES = [
  "CREATE TABLE IF NOT EXISTS _gateway_numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
  `CREATE TABLE IF NOT EXISTS _gateway_leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until INTEGER NOT NULL)
    WITHOUT ROWID`,
];

const next = (table) => `INSERT INTO ${table} VALUES (?1, max(1, ?2)) ON CONFLICT (name)
  DO UPDATE SET value = max(value + 1, ?2) RETURNING value`;

// The number after the last one under this name, or `least` if that is more.
export const nextOf = (sql, name, least) => valueOf(sql, next("_gateway_numbers"), name, least);

// The number of a move of the directory's.
export const nextMove = (sql, least) => valueOf(sql, next("_collegedb_counters"), "move", least);

// Lends a name to a holder until a time in ms, if no other one has it.
export function lend(sql, name, holder, seconds) {
  const now = Date.now();
  sql.exec(`INSERT INTO _gateway_leases VALUES (?1, ?2, ?3) ON CONFLICT (name)
    DO UPDATE SET holder = excluded.holder, until = excluded.until WHERE holder = excluded.holder OR until <= ?4`,
    name, holder, now + Math.ceil(seconds * 1000), now);
  const [row] = sql.exec("SELECT holder, until FROM _gateway_leases WHERE name = ?", name);
  return { held: row.holder === holder, ...row };
}

// Gives it back; false when it was not lent to that holder any more.
export function giveBack(sql, name, holder) {
  const now = Date.now();
  const live = valueOf(sql, "DELETE FROM _gateway_leases WHERE name = ?1 AND holder = ?2 RETURNING until > ?3",
    name, holder, now);
  return { released: live === 1 };
}
