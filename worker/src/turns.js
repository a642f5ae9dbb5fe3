// Turns: each one that is spent has its key, whose entry goes into its range's log in the same transaction.
import { valueOf } from "./rows.js";

// A turn's name may be any bytes, so it comes as hexadecimal digits.
const NAME = "'turn:' || CAST(unhex(?1) AS TEXT)";

const turnOf = (sql, name) => valueOf(sql, `SELECT value FROM _collegedb_counters WHERE name = ${NAME}`, name) ?? 0;

function setTurn(sql, name, value) {
  sql.exec(`INSERT INTO _collegedb_counters VALUES (${NAME}, ?2)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value);
}

const epochOf = (sql) => valueOf(sql, "SELECT value FROM _collegedb_counters WHERE name = 'epoch'");

// A new key's shard by its turn: the next of `shards`, or `shard` if the turns are still as they were seen.
// Answers with its place in the log, or with the word why not.
export function spend(sql, add, { digest, epoch, rotate, shards, shard, taken }) {
  if (epoch !== epochOf(sql)) return { word: "epoch" };
  if (rotate !== undefined) {
    const turn = turnOf(sql, rotate);
    const given = shards[turn % shards.length];
    setTurn(sql, rotate, turn + 1);
    return { id: given, ...add({ fresh: [[digest, given, 1]] }) };
  }
  if (taken.some(([name, seen]) => turnOf(sql, name) !== seen)) return { word: "raced" };
  for (const [name, seen, count] of taken) setTurn(sql, name, seen + count);
  return { id: shard, ...add({ fresh: [[digest, shard, 1]] }) };
}

// The next turn, which is spent at once if not only looked at.
export function nextTurn(sql, name, peek) {
  const turn = turnOf(sql, name);
  if (!peek) setTurn(sql, name, turn + 1);
  return turn;
}
