// POST /d1/BINDING/query and /batch.
import { Failure, answer, bodyOf } from "./answer.js";
import { bindingOf } from "./access.js";
import { isOneRead } from "./sql.js";
import { write } from "./applied.js";

const SESSION = /^[\x21-\x7e]{1,300}$/;

function check(condition, message) {
  if (!condition) throw new Failure(400, "REQUEST", message);
}

function checkStatement({ sql, params }) {
  check(typeof sql === "string" && sql !== "", "sql is a statement");
  check(params === undefined || (Array.isArray(params) && params.every((p) => p === null || typeof p === "string")),
    "params is an array of strings and null: numbers would be made floats");
}

function sessionOf(database, session = "first-primary") {
  check(typeof session === "string" && SESSION.test(session),
    'session is "first-primary", "first-unconstrained" or a bookmark');
  return database.withSession(session);
}

export function prepared(session, { sql, params }) {
  const statement = session.prepare(sql);
  return params?.length ? statement.bind(...params) : statement;
}

// Where D1 gives objects, a row's values are in the order of its columns.
export function resultOf({ results, meta }) {
  const columns = results.length ? Object.keys(results[0]) : [];
  return { success: true, results: { columns, rows: results.map((row) => Object.values(row)) }, meta };
}

// What D1 says went wrong.
export function failureOf(error) {
  const message = String(error?.message ?? error);
  if (/overloaded|queued for too long|Too many requests queued/.test(message)) return new Failure(429, "BUSY", message);
  if (/SQLITE_/.test(message) || /^D1_(ERROR|TYPE_ERROR|COLUMN_NOTFOUND)/.test(message)) {
    return new Failure(/SQLITE_(IOERR|NOMEM|INTERRUPT|BUSY)|Network connection lost|Internal error|storage|starting up|code was updated|limit/.test(message)
      ? 500 : 400, /SQLITE_/.test(message) ? "SQL" : "FAILED", message);
  }
  return error;
}

async function read(session, body) {
  const statement = prepared(session, body);
  if (body.named) return resultOf(await statement.all());
  const [columns = [], ...rows] = await statement.raw({ columnNames: true });
  return { success: true, results: { columns, rows }, meta: {} };
}

async function query(database, body, writes) {
  checkStatement(body);
  const session = sessionOf(database, body.session);
  if (body.write !== undefined) {
    if (!writes) throw new Failure(403, "READONLY", "this token may only read");
    const { results, repeated } = await write(session, [body], body.write);
    return answer({ result: results, bookmark: session.getBookmark(), repeated });
  }
  check(isOneRead(body.sql), "a statement that may change something takes a token: write");
  const result = await read(session, body);
  return answer({ result: [result], bookmark: session.getBookmark() });
}
