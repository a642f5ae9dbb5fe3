// The endpoints of the TypeScript library's coordinator: same paths, bodies and answers, for a Worker that has bound
// this class as its own. What differs is that an allocated key stays where it was given, for all, and that shards are
// the record's.
import { Failure, asked, check, isText } from "./answer.js";
import { digestOf, hexOf } from "./digest.js";
import { nextOf } from "./numbers.js";
import { objectOf, rangeOf } from "./ranges.js";
import { SETTLE, termsOf } from "./record.js";
import { checkPlacement } from "./terms.js";

const ATTEMPTS = 10; // while the record changes
const ROUND_ROBIN = hexOf(new TextEncoder().encode("round_robin")); // the turn of the Lua strategy

export const TABLES = [
  "CREATE TABLE IF NOT EXISTS _gateway_stats (shard TEXT PRIMARY KEY, count INTEGER NOT NULL, at INTEGER NOT NULL)",
];

// A name that comes back from SQLite as it went there.
const isName = (value) => isText(value) && value !== "" && !value.includes("\0");
const checkName = (value, what) => check(isName(value), `Missing or invalid ${what} parameter`);

// --- shards --------------------------------------------------------------------------------------

// Names that a program made known without a record of theirs; as in lua/collegedb/directory.lua.
const KNOWN = `SELECT substr(name, 7) AS name FROM _collegedb_counters WHERE substr(name, 1, 6) = 'known:'
  ORDER BY name`;

const namesOf = (sql) => {
  const { shards } = termsOf(sql);
  const open = shards.filter(({ drained }) => !drained).map(({ name }) => name);
  const known = [...sql.exec(KNOWN)].map(({ name }) => name);
  return [...open, ...known.filter((name) => !shards.some((shard) => shard.name === name))];
};

function report(sql, shard, count) {
  sql.exec(`INSERT INTO _gateway_stats VALUES (?1, ?2, ?3) ON CONFLICT (shard) DO UPDATE SET count = excluded.count,
    at = excluded.at`, shard, count, Date.now());
}

// Everybody reads the record anew.
function step(sql, ...counters) {
  for (const name of counters) sql.exec("UPDATE _collegedb_counters SET value = value + 1 WHERE name = ?", name);
}

// While Lua programs have placed shards, those are theirs to add: then it is a name.
function addShard(sql, name) {
  sql.exec(SETTLE);
  const { family, shards } = termsOf(sql);
  const found = shards.find((shard) => shard.name === name);
  if (family && !found) {
    sql.exec("INSERT INTO _collegedb_counters VALUES ('known:' || ?, 1) ON CONFLICT DO NOTHING", name);
    step(sql, "version");
  } else if (!found) {
    sql.exec("INSERT INTO _collegedb_shards (name) VALUES (?)", name);
    report(sql, name, 0);
    step(sql, "epoch", "version");
  } else if (!family && found.drained === 1) {
    sql.exec("UPDATE _collegedb_shards SET drained = 0 WHERE id = ?", found.id);
    step(sql, "epoch", "version");
  }
}

// Its keys stay where they are; it gets no new ones.
function removeShard(sql, name) {
  const { family, shards } = termsOf(sql);
  const found = shards.find((shard) => shard.name === name);
  if (found && family) throw new Failure(409, "SHARD", "the shard has a record: drain it");
  if (found) {
    sql.exec("UPDATE _collegedb_shards SET drained = 1 WHERE id = ?", found.id);
    step(sql, "epoch", "version");
  }
  sql.exec("DELETE FROM _collegedb_counters WHERE name = 'known:' || ?", name);
  sql.exec("DELETE FROM _gateway_stats WHERE shard = ?", name);
  step(sql, "version");
}

// --- allocation -----------------------------------------------------------------------------------

// As the library's: 32 bits of h * 31 + c.
function hashOf(text) {
  let hash = 0;
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0;
  return Math.abs(hash);
}

const chosen = (strategy, key, shards) =>
  shards[strategy === "random" ? Math.floor(Math.random() * shards.length) : hashOf(key) % shards.length];

// The shards that a new key may go to, in the record's order; null when they had to be added first.
async function eligible(object, names) {
  const terms = termsOf(object.sql);
  checkPlacement(terms);
  const open = terms.shards.filter(({ drained }) => !drained);
  const given = names ?? namesOf(object.sql);
  const missing = given.filter((name) => !terms.shards.some((shard) => shard.name === name));
  // Where Lua programs have placed shards, others are not for keys that those share.
  if (missing.length && !terms.family) {
    await object.changes.everywhere(() => missing.forEach((name) => addShard(object.sql, name)));
    return null;
  }
  const shards = open.filter(({ name }) => given.includes(name));
  check(shards.length, "No shards available");
  return { epoch: terms.epoch, shards };
}

function ask(object, { digest, text }, key, strategy, { epoch, shards }) {
  const range = rangeOf(digest, object.count);
  const entries = objectOf(object.env, range, object.count);
  if (strategy === "round-robin") {
    return entries.allot(range, { digest, text, epoch, rotate: ROUND_ROBIN, shards: shards.map(({ id }) => id) });
  }
  return entries.claim(range, { digest, text, epoch, shard: chosen(strategy, key, shards).id });
}

// Also for a read (`operationType`): the library remembers what it was told, so it must be so from then on.
async function allocate(object, { primaryKey, strategy = "round-robin", availableShards }) {
  checkName(primaryKey, "primaryKey");
  check(availableShards === undefined || (Array.isArray(availableShards) && availableShards.every(isName)),
    "Missing or invalid availableShards parameter");
  const key = await digestOf({ key: primaryKey });
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const among = await eligible(object, availableShards);
    if (!among) continue;
    const answered = asked(await ask(object, key, primaryKey, strategy, among));
    if (answered.id !== undefined) return { shard: answered.shard };
  }
  throw new Failure(429, "BUSY", "the directory's record changes too fast");
}

// --- statistics -------------------------------------------------------------------------------------

async function exactCounts(object) {
  const { shards } = termsOf(object.sql);
  const counts = new Map();
  for (let range = 0; range < object.count; range++) {
    const { rows } = asked(await objectOf(object.env, range, object.count).counts(range));
    for (const [id, count] of rows) {
      const name = shards.find((shard) => shard.id === id)?.name;
      counts.set(name, (counts.get(name) ?? 0) + count);
    }
  }
  return counts;
}

async function stats(object, _, url) {
  const exact = url.searchParams.has("exact") ? await exactCounts(object) : null;
  const rows = [...object.sql.exec("SELECT shard, count, at FROM _gateway_stats")];
  const reports = new Map(rows.map((row) => [row.shard, row]));
  return namesOf(object.sql).map((binding) => {
    const { count = 0, at = 0 } = reports.get(binding) ?? {};
    return exact ? { binding, count: exact.get(binding) ?? 0, lastUpdated: Date.now() }
      : { binding, count, lastUpdated: at };
  });
}

function setStats(object, { shard, count }) {
  checkName(shard, "shard");
  check(typeof count === "number" && Number.isFinite(count), "Missing or invalid count parameter");
  if (namesOf(object.sql).includes(shard)) report(object.sql, shard, count);
  return { success: true };
}

// One more key, or one less, where the shard is known.
export function countOn(sql, shard, n) {
  sql.exec("UPDATE _gateway_stats SET count = max(count + ?2, 0), at = ?3 WHERE shard = ?1", shard, n, Date.now());
}

// --- the paths ---------------------------------------------------------------------------------------

async function changeShards(object, { shard }, change) {
  checkName(shard, "shard");
  await object.changes.everywhere(() => change(object.sql, shard));
  return { success: true };
}

function sequence(object, { name, min }) {
  checkName(name, "name");
  return { value: nextOf(object.sql, name, Number.isFinite(min) ? Math.floor(min) : 0) };
}

// (object, body, url) → what the answer's JSON is.
const paths = {
  "GET /shards": (object) => namesOf(object.sql),
  "POST /shards": (object, body) => changeShards(object, body, addShard),
  "DELETE /shards": (object, body) => changeShards(object, body, removeShard),
  "GET /stats": stats,
  "POST /stats": setStats,
  "POST /allocate": allocate,
  "POST /sequence": sequence,
  "POST /flush": async (object) => {
    asked(await object.flush());
    return { success: true };
  },
};

async function bodyOf(request) {
  const text = await request.text();
  let body = {};
  try {
    if (text) body = JSON.parse(text);
  } catch {
    body = null;
  }
  check(body !== null && typeof body === "object" && !Array.isArray(body), "the body is no JSON object");
  return body;
}

// A request to the object itself.
export async function answerNeighbour(object, request) {
  const url = new URL(request.url);
  const name = `${request.method} ${url.pathname}`;
  if (name === "GET /health") return new Response("OK");
  if (!Object.hasOwn(paths, name)) return new Response("Not Found", { status: 404 });
  try {
    return Response.json(await paths[name](object, await bodyOf(request), url));
  } catch (error) {
    if (error instanceof Failure) return Response.json({ error: error.message }, { status: error.status });
    console.error(error);
    return new Response("Internal Server Error", { status: 500 });
  }
}
