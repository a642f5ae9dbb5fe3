// What D1 is given, and what it says.
import { Failure } from "./answer.js";

export function prepared(session, { sql, params }) {
  const statement = session.prepare(sql);
  return params.length ? statement.bind(...params) : statement;
}

// Of what D1 tells beside the rows, this may be of use.
const told = ({ changes, last_row_id, rows_read, rows_written, size_after }) =>
  ({ changes, last_row_id, rows_read, rows_written, size_after });

// Where D1 gives objects, a row's values are in the order of its columns.
export function resultOf({ results, meta }) {
  const columns = results.length ? Object.keys(results[0]) : [];
  const rows = results.map((row) => Object.values(row));
  return { success: true, results: { columns, rows }, meta: told(meta) };
}

// What SQLite did not like ends with its code; these are none of the statement's fault.
const SQLITE = /: (SQLITE_[A-Z]+)[A-Z_]*(?: \(extended: \w+\))?$/;
const PLATFORM = /^SQLITE_(IOERR|NOMEM|INTERRUPT|BUSY|LOCKED|INTERNAL|CORRUPT|CANTOPEN|PROTOCOL)$/;
// And these are, though they have no code.
const REFUSED = new RegExp("^D1_(TYPE_ERROR|COLUMN_NOTFOUND)|Wrong number of parameter bindings" +
  "|SQL statements detected|not contain a statement|execute a transaction");

// What went wrong, as D1 says it.
export function failureOf(error) {
  const message = String(error?.message ?? error);
  const code = SQLITE.exec(message)?.[1];
  if (code ? !PLATFORM.test(code) : REFUSED.test(message)) return new Failure(400, "SQL", message);
  if (/overloaded|[Tt]oo many requests/.test(message)) return new Failure(429, "BUSY", message);
  if (/bookmark/i.test(message)) return new Failure(400, "REQUEST", message);
  return new Failure(500, "FAILED", message);
}
