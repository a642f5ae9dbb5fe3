// Changes of the directory, as the Lua client sends them: an insertion into the view _collegedb_change, whose trigger
// does all of it (lua/collegedb/single_tables.lua). Entries are not in this object, so what is said of them is taken
// out of it, asked for at the ranges, and written into their logs in the transaction in which the trigger does the
// rest.
import { Failure } from "./answer.js";
import { run, valueOf } from "./rows.js";
import { termsOf } from "./record.js";
import { rangeOf, spread } from "./ranges.js";

const READS = /^\s*SELECT\b/i;
const IS_CHANGE = /^INSERT INTO _collegedb_change \(/;
const COLUMNS = "id, version, epoch, user, alone, claim, what, digests, keys, last, stop, mark";
const PARTS = ["all", "void", "drop", "unused", "fresh", "forget", "assign"];

// The change stands here only inside of a transaction: its values never leave SQLite, so they stay what they are.
export const TABLE = `CREATE TABLE IF NOT EXISTS _gateway_change (${COLUMNS})`;

const READ = `SELECT id, hex(digests) AS digests, ${PARTS.map((name) => `what ->> '${name}' AS "${name}"`).join(", ")}
  FROM _gateway_change`;
const MAKE = `INSERT INTO _collegedb_change (${COLUMNS}) SELECT ${COLUMNS.replace("what, digests",
  `json_remove(what, ${PARTS.map((name) => `'$.${name}'`).join(", ")}), x''`)} FROM _gateway_change`;

// What the trigger raises, as SQLite tells it.
export const refusal = (word) =>
  new Failure(400, "SQL", `collegedb:${word}: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_TRIGGER)`);

const listOf = (text) => (text === null ? [] : JSON.parse(text));

// What a change says of entries: [digest, shard, version] each.
function readParts(row) {
  const digestAt = (i) => row.digests.slice(32 * i, 32 * i + 32).toLowerCase();
  const withDigests = (text) => listOf(text).map((item, i) => [digestAt(i), ...[item].flat()]);
  return {
    all: row.all !== null, void: listOf(row.void), drop: listOf(row.drop), unused: listOf(row.unused),
    fresh: withDigests(row.fresh), forget: withDigests(row.forget), assign: withDigests(row.assign),
  };
}

// What of it concerns each range: { checks, what }, by range.
function divide(parts, count) {
  const { all, unused } = parts;
  const everywhere = all || parts.void.length + parts.drop.length + unused.length > 0;
  const divided = new Map();
  const at = (range) => {
    if (!divided.has(range)) divided.set(range, { fresh: [], forget: [], assign: [] });
    return divided.get(range);
  };
  for (let range = 0; everywhere && range < count; range++) at(range);
  for (const name of ["fresh", "forget", "assign"]) {
    for (const [range, items] of spread(parts[name], count, (item) => item[0])) at(range)[name] = items;
  }
  for (const part of divided.values()) Object.assign(part, { all, unused, void: parts.void, drop: parts.drop });
  return divided;
}

// Raised inside a transaction, which is to come again with the ranges standing still.
class Unheld extends Error {
  constructor(divided, everywhere) {
    super("ranges are to be held");
    this.divided = divided;
    this.everywhere = everywhere;
  }
}

// `log.add(range, what)`; leases as in leases.js; `count` of ranges.
export function changing(storage, log, leases, count) {
  const sql = storage.sql;
  let turn = Promise.resolve();

  // Does the statement; `answers` are those of the ranges that stand still, a map.
  function attempt(body, answers) {
    const text = body.sql.replace(IS_CHANGE, "INSERT INTO _gateway_change (");
    if (READS.test(body.sql)) return run(sql, body.sql, body.params);
    const before = JSON.stringify(termsOf(sql));
    const result = run(sql, text, body.params);
    let divided = new Map();
    if (text !== body.sql) divided = make(answers);
    const everywhere = before !== JSON.stringify(termsOf(sql));
    const needed = everywhere ? [...Array(count).keys()] : [...divided.keys()];
    if (needed.some((range) => !answers?.has(range))) throw new Unheld(divided, everywhere);
    return result;
  }

  function make(answers) {
    const [row] = [...sql.exec(READ)];
    const divided = divide(readParts(row), count);
    sql.exec(MAKE);
    sql.exec("DELETE FROM _gateway_change");
    if (!answers) return divided;
    const told = [...divided.keys()].map((range) => answers.get(range) ?? {});
    if (told.some((answer) => answer.raced)) throw refusal("raced");
    const ended = told.reduce((sum, answer) => sum + (answer.count ?? 0), 0);
    if (ended) sql.exec("UPDATE _collegedb_changes SET count = ? WHERE id = ?", ended, row.id);
    for (const [range, { unused, ...what }] of divided) log.add(range, what);
    return divided;
  }

  async function exclusive(body, unheld) {
    for (let { divided, everywhere } = unheld; ; ) {
      const asked = new Map(divided);
      for (let range = 0; everywhere && range < count; range++) if (!asked.has(range)) asked.set(range, null);
      try {
        return await leases.hold(asked, (answers) => {
          const byRange = new Map([...asked.keys()].map((range, i) => [range, answers[i]]));
          return storage.transactionSync(() => attempt(body, byRange));
        });
      } catch (error) {
        if (!(error instanceof Unheld)) throw error;
        ({ divided, everywhere } = error); // others have changed the record meanwhile
      }
    }
  }

  // Runs `f` when those before it have ended.
  function next(f) {
    const done = turn.then(f);
    turn = done.catch(() => {});
    return done;
  }

  // Does a statement, with ranges standing still where it changes what they go by.
  function write(body) {
    try {
      return storage.transactionSync(() => attempt(body, null));
    } catch (error) {
      if (!(error instanceof Unheld)) throw error;
      return next(() => exclusive(body, error));
    }
  }

  // Runs `f` in a transaction while all ranges stand still.
  function everywhere(f) {
    const asked = new Map([...Array(count).keys()].map((range) => [range, null]));
    return next(() => leases.hold(asked, () => storage.transactionSync(f)));
  }

  return { write, everywhere };
}
