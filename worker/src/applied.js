// Writes that are done once, however often they are asked for.
//
// A write comes with a token. What it did is recorded under it, in the same transaction, so a copy of the request meets
// the primary key and is not done. A write that failed is recorded too (changes -1), before the failure is answered: a
// copy that arrives later can not be done then, when its sender has long gone by the failure.
import { Failure } from "./answer.js";
import { failureOf, prepared, resultOf } from "./statement.js";

const TOKEN = /^[0-9a-f]{11}-[0-9a-f]{32}$/;
const LIFE = 600_000; // ms that a token is good for
const KEPT = LIFE + 60_000; // ms that its rows stay
const FAILED = -1;

// WITHOUT ROWID: last_insert_rowid() stays as the statement left it.
const TABLE = `CREATE TABLE IF NOT EXISTS _collegedb_applied
  (op TEXT, n INTEGER, changes INTEGER, row INTEGER, PRIMARY KEY (op, n)) WITHOUT ROWID`;
const RECORD = "INSERT INTO _collegedb_applied VALUES (?, ?, changes(), last_insert_rowid())";
// Behind what is no INSERT, UPDATE or DELETE, changes() is an older number.
const RECORD_NONE = RECORD.replace("changes()", "0");
const CLOSE = `INSERT OR IGNORE INTO _collegedb_applied VALUES (?1, 0, ${FAILED}, NULL)`;
const RECORDED = `SELECT n, CAST(changes AS TEXT) AS changes, CAST(row AS TEXT) AS last_row_id FROM _collegedb_applied
  WHERE op = ?1 ORDER BY n`;
const PRUNE = `DELETE FROM _collegedb_applied WHERE (op, n) IN
  (SELECT op, n FROM _collegedb_applied WHERE op < ?1 ORDER BY op, n LIMIT ?2)`;

export function checkToken(token) {
  if (typeof token !== "string" || !TOKEN.test(token)) {
    throw new Failure(400, "REQUEST", "write is 11 hexadecimal digits of the time in ms, a dash, and 32 random ones");
  }
  const now = Date.now();
  if (Math.abs(parseInt(token, 16) - now) > LIFE) {
    throw new Failure(409, "CLOCK", `the write's token is not of these ten minutes: it is ${now} ms now`, { now });
  }
}

// Each statement, behind each that writes its record, and at the end all records.
function statementsOf(session, statements, token) {
  const [record, recordNone] = [session.prepare(RECORD), session.prepare(RECORD_NONE)];
  let n = 0;
  const all = statements.flatMap((each) => {
    if (each.reads) return [prepared(session, each)];
    return [prepared(session, each), (each.counts ? record : recordNone).bind(token, String(n++))];
  });
  return [...all, session.prepare(RECORDED).bind(token)];
}

// The table is made when it turns out to be missing: nothing was done then.
async function withTable(session, work) {
  try {
    return await work();
  } catch (error) {
    if (!String(error?.message).includes("no such table: _collegedb_applied")) throw error;
    await session.prepare(TABLE).run();
    return work();
  }
}

const changesOf = ({ changes, last_row_id }) => ({ changes, last_row_id });

// What D1 answered, without the records but with what they say.
function resultsOf(statements, answers) {
  const records = answers.at(-1).results;
  let [at, n] = [0, 0];
  return statements.map(({ reads }) => {
    const result = resultOf(answers[at]);
    if (!reads) Object.assign(result.meta, changesOf(records[n++]));
    at += reads ? 1 : 2;
    return result;
  });
}

function repeatedOf(statements, records) {
  let n = 0;
  return statements.map(({ reads }) => {
    const meta = reads || n >= records.length ? {} : changesOf(records[n++]);
    return { success: true, results: { columns: [], rows: [] }, meta };
  });
}

// What stands under the token after a failure; if nothing did, then now that it failed. The INSERT also brings the
// SELECT to the database's primary, whatever the session.
async function closed(session, token) {
  const batch = () => session.batch([session.prepare(CLOSE).bind(token), session.prepare(RECORDED).bind(token)]);
  return (await withTable(session, batch))[1].results;
}

// The failure of a write, or the results of the copy of it that was done before. What is not the statement's fault
// leaves the token open: the same request may come again.
async function failed(session, statements, token, error) {
  const failure = failureOf(error);
  if (failure.code !== "SQL") throw failure;
  const records = await closed(session, token).catch((why) => {
    throw new Failure(500, "FAILED", failureOf(why).message); // it is open still
  });
  if (records[0].changes !== String(FAILED)) return { results: repeatedOf(statements, records), repeated: true };
  if (!failure.message.includes("_collegedb_applied.op")) throw failure;
  throw new Failure(400, "SQL", "this write has failed before");
}

// Old records go now and then, as many as come and some more, and never in the way of an answer.
function pruneSometimes(database, writes, context) {
  if (Math.random() * 500 > writes) return;
  const before = (Date.now() - KEPT).toString(16).padStart(11, "0");
  const pruned = database.prepare(PRUNE).bind(before, String(Math.max(2000, 2 * writes))).run();
  context.waitUntil(pruned.catch(() => {}));
}

// Does the statements in one transaction, unless the token says that this was done.
export async function write(database, session, statements, token, context) {
  let answers;
  try {
    answers = await withTable(session, () => session.batch(statementsOf(session, statements, token)));
  } catch (error) {
    return failed(session, statements, token, error);
  }
  pruneSometimes(database, statements.length, context);
  return { results: resultsOf(statements, answers) };
}
