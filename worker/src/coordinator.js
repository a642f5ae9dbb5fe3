// The main object of the coordinator: the directory's tables but for its entries, which are in the ranges (entries.js),
// and leases for those. There is one, with the name "default".
import { DurableObject } from "cloudflare:workers";
import { Failure, told } from "./answer.js";
import { TABLE, changing } from "./changes.js";
import { leasing } from "./leases.js";
import { TABLES as NEIGHBOURS, answerNeighbour, countOn } from "./neighbours.js";
import { TABLES as NUMBERS, giveBack, lend, nextMove, nextOf } from "./numbers.js";
import { objectOf, wantedRanges } from "./ranges.js";
import { SETTLE, makeTables, termsOf } from "./record.js";
import { valueOf } from "./rows.js";
import { failureOf } from "./statement.js";
import { nextTurn, spend } from "./turns.js";

const RANGES = 16;

const OWN_TABLES = [
  "CREATE TABLE IF NOT EXISTS _gateway_settings (name TEXT PRIMARY KEY, value) WITHOUT ROWID",
  `CREATE TABLE IF NOT EXISTS _gateway_log (range INTEGER, seq INTEGER, what TEXT NOT NULL, PRIMARY KEY (range, seq))
    WITHOUT ROWID`,
  TABLE,
  ...NEIGHBOURS,
  ...NUMBERS,
];

const TO_FORGET = `SELECT type, name FROM sqlite_schema WHERE type IN ('table', 'view')
  AND (substr(name, 1, 11) = '_collegedb_' OR name IN ('_gateway_stats', '_gateway_numbers', '_gateway_leases'))`;

// A setting that is made when it is not there, and counted on by `step`.
function setting(sql, name, first, step = 0) {
  return valueOf(sql, `INSERT INTO _gateway_settings VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = value + ?3
    RETURNING value`, name, first, step);
}

// How many there are to be; a number that is wrong has been refused already (ranges.js).
const rangesOf = (env) => wantedRanges(env) ?? RANGES;

// What ranges are to do, in order. A range forgets what it has done when it next asks.
const logOf = (sql) => ({
  add: (range, what) => {
    const entry = { seq: setting(sql, "seq", 1, 1), what: JSON.stringify(what) };
    sql.exec("INSERT INTO _gateway_log VALUES (?, ?, ?)", range, entry.seq, entry.what);
    return entry;
  },
  of: (range) => [...sql.exec("SELECT seq, what FROM _gateway_log WHERE range = ? ORDER BY seq", range)],
  forget: (range, seq) => sql.exec("DELETE FROM _gateway_log WHERE range = ? AND seq <= ?", range, seq),
});

export class ShardCoordinator extends DurableObject {
  static life = 10_000; // ms of a lease, at the range counted from before it asked

  constructor(ctx, env) {
    super(ctx, env);
    this.sql = ctx.storage.sql;
    this.begin();
  }

  begin() {
    this.ctx.storage.transactionSync(() => {
      makeTables(this.sql);
      for (const text of OWN_TABLES) this.sql.exec(text);
      this.count = setting(this.sql, "ranges", rangesOf(this.env));
      this.boot = setting(this.sql, "boot", 1, 1);
    });
    this.log = logOf(this.sql);
    const call = (range, method, ...args) => objectOf(this.env, range, this.count)[method](range, ...args);
    const terms = () => termsOf(this.sql);
    this.leases = leasing({ log: this.log, call, terms, boot: this.boot, life: ShardCoordinator.life });
    this.changes = changing(this.ctx.storage, this.log, this.leases, this.count);
  }

  // How many ranges there are, for good.
  ranges() { return this.count; }

  // A statement on the directory's tables.
  query(body) {
    return told(async () => {
      try {
        return { result: [await this.changes.write(body)] };
      } catch (error) {
        const failure = error instanceof Failure ? error : failureOf(error);
        throw failure.code === "FAILED" ? error : failure;
      }
    });
  }

  // That the directory has no secret.
  async settle() { await this.changes.write({ sql: SETTLE, params: [] }); }

  // In development: all is forgotten.
  flush() {
    if (this.env.COLLEGEDB_DEVELOPMENT !== "true") {
      return { failure: { status: 403, code: "PATH", message: "this is for COLLEGEDB_DEVELOPMENT only" } };
    }
    return this.changes.everywhere(() => {
      for (const { type, name } of [...this.sql.exec(TO_FORGET)]) this.sql.exec(`DROP ${type} IF EXISTS ${name}`);
      makeTables(this.sql);
      for (const text of OWN_TABLES) this.sql.exec(text);
      for (let range = 0; range < this.count; range++) this.log.add(range, { all: true });
      return {};
    });
  }

  // A lease for a range, and what it has to do before.
  lease(range, applied) { return this.leases.grant(range, applied); }

  // Spends turns together with new entries of a range that goes by the lease `id`: null if it does not.
  spend(range, id, applied, wishes) {
    if (!this.leases.is(range, id)) return null;
    return this.ctx.storage.transactionSync(() => {
      this.log.forget(range, applied);
      return wishes.map((wish) => spend(this.sql, (what) => this.log.add(range, what), wish));
    });
  }

  // --- numbers, turns and leases of anything -------------------------------------------------------

  number(name, least) { return name === "move" ? nextMove(this.sql, least) : nextOf(this.sql, name, least); }
  turn(name, peek) { return nextTurn(this.sql, name, peek); }
  lend(name, holder, seconds) { return lend(this.sql, name, holder, seconds); }
  giveBack(name, holder) { return giveBack(this.sql, name, holder); }

  // --- for a TypeScript Worker that has bound this class as its coordinator -----------------------------

  fetch(request) { return answerNeighbour(this, request); }
  async incrementShardCount(shard) { countOn(this.sql, shard, 1); }
  async decrementShardCount(shard) { countOn(this.sql, shard, -1); }
}
