// POST /d1/BINDING/query and /batch.
import { bindingOf } from "./access.js";
import { Failure, answer, bodyOf, check, isText } from "./answer.js";
import { checkToken, write } from "./applied.js";
import { lookAt } from "./sql.js";
import { failureOf, prepared, resultOf } from "./statement.js";

const SESSION = /^(first-primary|first-unconstrained|(?!first-)[\x21-\x7e]{1,300})$/;

const LONGEST = 100_000; // bytes of a statement

// The statement with what its text tells: whether it is `safe` for who may only read, and counts what it changes.
function statementOf(given) {
  check(typeof given === "object" && given !== null, "a statement is an object");
  const { sql, params = [], reads } = given;
  check(isText(sql), "sql is the text of a statement");
  check(Array.isArray(params) && params.every((p) => p === null || isText(p)),
    "params is an array of strings and null: numbers would be made floats");
  if (sql.length > LONGEST) throw new Failure(400, "SQL", `statement too long: D1 takes ${LONGEST} bytes`);
  const look = lookAt(sql);
  check(look, "sql is one statement, without $, @, : or # in it other than quoted");
  check(look.reads || !reads, "reads is for statements that change nothing");
  return { sql: look.sql, params, reads: reads === true, safe: look.reads, counts: look.counts };
}

function sessionOf(database, session = "first-primary") {
  check(typeof session === "string" && SESSION.test(session),
    'session is "first-primary", "first-unconstrained" or a bookmark');
  return database.withSession(session);
}

async function readOne(session, statement, named) {
  if (named) return resultOf(await prepared(session, statement).all());
  const [columns = [], ...rows] = await prepared(session, statement).raw({ columnNames: true });
  return { success: true, results: { columns, rows }, meta: {} };
}

async function readAll(session, statements, named) {
  try {
    if (named !== undefined) return [await readOne(session, statements[0], named)];
    return (await session.batch(statements.map((each) => prepared(session, each)))).map(resultOf);
  } catch (error) {
    throw failureOf(error);
  }
}

// Does the statements; `named` is undefined for a batch.
async function run(database, statements, { write: token, session: wanted, named }, writes, context) {
  const session = sessionOf(database, wanted);
  const safe = statements.every((each) => each.safe);
  if (!writes && !(safe && token === undefined)) throw new Failure(403, "READONLY", "this token may only read");
  let done;
  if (token === undefined) {
    check(safe, "a statement that may change something takes a token: write");
    done = { results: await readAll(session, statements, named) };
  } else {
    checkToken(token);
    done = await write(database, session, statements, token, context);
  }
  return answer({ result: done.results, bookmark: session.getBookmark(), repeated: done.repeated });
}

function oneOf({ sql, params, write: token, session, named = false }) {
  check(typeof named === "boolean", "named is true or false");
  return [[statementOf({ sql, params })], { write: token, session, named }];
}

function manyOf({ statements, write: token, session }) {
  check(Array.isArray(statements) && statements.length > 0, "statements is an array of one or more");
  return [statements.map(statementOf), { write: token, session }];
}

const paths = { query: oneOf, batch: manyOf };

export async function answerD1(request, env, words, writes, context) {
  const [binding, path, ...more] = words;
  if (!Object.hasOwn(paths, path ?? "") || more.length) throw new Failure(404, "PATH", "there is no such path");
  const database = bindingOf(env, binding, "COLLEGEDB_DATABASES");
  const [statements, options] = paths[path](await bodyOf(request));
  return run(database, statements, options, writes, context);
}
