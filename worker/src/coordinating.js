// /coordinator/…: docs/gateway-protocol.md.
import { Failure, answer, asked, bodyOf, bytesOf, check, isText } from "./answer.js";
import { digestOf, hexOf } from "./digest.js";
import { mainOf, objectOf, rangeOf, spread } from "./ranges.js";

const NEIGHBOURS = new Set(["shards", "stats", "allocate", "sequence", "health", "flush"]);

// --- the ranges ----------------------------------------------------------------------------------

let ranges; // how many there are, which never changes

// What an object answers to a call.
async function called(call) {
  try {
    return asked(await call);
  } catch (error) {
    if (error instanceof Failure) throw error;
    console.error(error);
    if (error.overloaded) throw new Failure(429, "BUSY", "an object of the coordinator has too much to do");
    throw new Failure(500, "FAILED", "an object of the coordinator failed; its log says more");
  }
}

async function countOf(env) {
  ranges ??= await called(mainOf(env).ranges());
  return ranges;
}

async function callRange(env, range, method, ...args) {
  return called(objectOf(env, range, await countOf(env))[method](range, ...args));
}

async function callAll(env, method, ...args) {
  const all = [...Array(await countOf(env)).keys()];
  return Promise.all(all.map((range) => callRange(env, range, method, ...args)));
}

// --- single entries --------------------------------------------------------------------------------

const isCount = (value) => Number.isSafeInteger(value) && value >= 0;
const isHex = (value) => typeof value === "string" && /^([0-9a-f]{2})*$/.test(value);
const isTaken = (value) => Array.isArray(value) && isHex(value[0]) && isCount(value[1]) && isCount(value[2]);
const isShard = (value) => isCount(value) || (typeof value === "string" && value !== "");

const checks = {
  shard: [isShard, "a shard's name"],
  epoch: [isCount, "a whole number"],
  version: [(value) => value === null || isCount(value), "a whole number, or null"],
  keep: [(value) => typeof value === "boolean", "a boolean"],
  rotate: [isHex, "a turn's name in hexadecimal digits"],
  shards: [(value) => Array.isArray(value) && value.length > 0 && value.every(isCount), "an array of shards' numbers"],
  taken: [(value) => Array.isArray(value) && value.every(isTaken),
    "an array of [name, turn, count], names in hexadecimal digits"],
};

// The fields of a body, with the digest of its key.
async function fieldsOf(body, names, needed = []) {
  const fields = { ...(await digestOf(body)) };
  for (const name of names) {
    if (body[name] === undefined) continue;
    check(checks[name][0](body[name]), `${name} is ${checks[name][1]}`);
    fields[name] = body[name];
  }
  for (const name of needed) check(fields[name] !== undefined, `${name} is missing`);
  return fields;
}

const single = (method, names, needed) => async (env, body) => {
  const fields = await fieldsOf(body, names, needed);
  return callRange(env, rangeOf(fields.digest, await countOf(env)), method, fields);
};

const ALLOT = { rotate: ["rotate", "shards", "epoch"], taken: ["taken", "shard", "epoch"] };

function allot(env, body) {
  const names = body.rotate === undefined ? ALLOT.taken : ALLOT.rotate;
  return single("allot", names, names)(env, body);
}

// --- many entries ------------------------------------------------------------------------------------

// Digests behind one another.
function digestsOf({ digests }) {
  check(typeof digests === "string" && /^([0-9a-f]{32})*$/.test(digests), "digests are hexadecimal, 32 digits each");
  return digests.match(/.{32}/g) ?? [];
}

// `entries`: [digest, shard, version] each.
async function publish(env, { digests, places, home = false }) {
  const list = digestsOf({ digests });
  check(Array.isArray(places) && places.length === list.length, "there is a place for each of the digests");
  check(places.every((place) => Array.isArray(place) && place.length === 2 && place.every(isCount)),
    "a place is a shard's number and a version");
  const parts = spread(list.map((digest, i) => [digest, ...places[i]]), await countOf(env), ([digest]) => digest);
  await Promise.all([...parts].map(([range, part]) => callRange(env, range, "publish", part, Boolean(home))));
  return {};
}

// The epoch is the lowest in which any of them was read.
async function known(env, body) {
  const list = digestsOf(body).map((digest, at) => ({ digest, at }));
  const parts = [...spread(list, await countOf(env), ({ digest }) => digest)];
  const answers = await Promise.all(parts.map(([range, part]) =>
    callRange(env, range, "known", part.map(({ digest }) => digest))));
  const rows = answers.flatMap(({ rows: found }, i) => found.map(([at, ...rest]) => [parts[i][1][at].at, ...rest]));
  return { epoch: answers.length ? Math.min(...answers.map(({ epoch }) => epoch)) : null, rows };
}

async function counts(env) {
  const sums = new Map();
  for (const { rows } of await callAll(env, "counts")) {
    for (const [id, all, found] of rows) {
      const sum = sums.get(id) ?? [id, 0, 0];
      sums.set(id, [id, sum[1] + all, sum[2] + found]);
    }
  }
  return { counts: [...sums.values()] };
}

const PAGE = 1000;

// The next digests, in order.
async function page(env, { after = "" }) {
  check(typeof after === "string" && /^([0-9a-f]{32})?$/.test(after), "after is a digest, or left out");
  const count = await countOf(env);
  const digests = [];
  for (let range = after ? rangeOf(after, count) : 0; range < count && digests.length < PAGE; range++) {
    digests.push(...(await callRange(env, range, "page", after, PAGE - digests.length)).digests);
  }
  return { digests: digests.join("") };
}

// --- numbers, turns and leases of anything ------------------------------------------------------------

const LONGEST = 512; // characters of a name
const isName = (value) => isText(value) && value !== "" && value.length <= LONGEST;

function checkNames(body, ...names) {
  for (const name of names) check(isName(body[name]), `${name} is a text of at most ${LONGEST} characters`);
}

async function number(env, { name, min = 0 }) {
  checkNames({ name }, "name");
  check(Number.isSafeInteger(min), "min is a whole number");
  return { value: await called(mainOf(env).number(name, min)) };
}

async function turn(env, { name, peek = false }) {
  checkNames({ name }, "name");
  return { turn: await called(mainOf(env).turn(hexOf(new TextEncoder().encode(name)), Boolean(peek))) };
}

async function lease(env, body) {
  checkNames(body, "name", "holder");
  check(body.seconds > 0 && body.seconds <= 86400, "seconds is a number above 0, up to 86,400");
  return called(mainOf(env).lend(body.name, body.holder, body.seconds));
}

async function release(env, body) {
  checkNames(body, "name", "holder");
  return called(mainOf(env).giveBack(body.name, body.holder));
}

// --- paths ----------------------------------------------------------------------------------------------

const isParameter = (value) => value === null || typeof value === "string";

async function query(env, { sql, params = [] }) {
  check(isText(sql) && sql !== "", "sql is a statement");
  check(Array.isArray(params) && params.every(isParameter), "params is an array of strings and null");
  return called(mainOf(env).query({ sql, params }));
}

const paths = {
  query: { act: query },
  lookup: { reads: true, act: single("lookup", []) },
  claim: { act: single("claim", ["shard", "epoch"], ["shard"]) },
  allot: { act: allot },
  compare_and_set: { act: single("compareAndSet", ["version", "shard", "keep"], ["version", "shard"]) },
  publish: { act: publish },
  known: { reads: true, act: known },
  counts: { reads: true, act: counts },
  page: { reads: true, act: page },
  number: { act: number },
  turn: { act: turn },
  lease: { act: lease },
  release: { act: release },
};

// The TypeScript library's, which the main object answers by itself.
async function answerNeighbour(request, env, name) {
  const url = new URL(request.url);
  const body = ["GET", "HEAD"].includes(request.method) ? undefined : await bytesOf(request);
  return called(mainOf(env).fetch(`https://coordinator/${name}${url.search}`, { method: request.method, body }));
}

export async function answerCoordinator(request, env, [name = "", ...more], writes) {
  const path = Object.hasOwn(paths, name) ? paths[name] : null;
  if (more.length || !(path || NEIGHBOURS.has(name))) throw new Failure(404, "PATH", "there is no such path");
  const reads = path ? path.reads : request.method === "GET";
  if (!writes && !reads) throw new Failure(403, "READONLY", "this token may only read");
  return path ? answer(await path.act(env, await bodyOf(request))) : answerNeighbour(request, env, name);
}
