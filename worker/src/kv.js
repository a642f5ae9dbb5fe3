// POST /kv/BINDING/get, /put, /delete and /list.
import { bindingOf } from "./access.js";
import { Failure, answer, bodyOf, check, isText } from "./answer.js";

const MOST_READ = 100; // keys, KV's own limit
const MOST_WRITTEN = 500; // of the thousand operations that one request to a Worker may do
const MOST_LISTED = 1000;
const TOGETHER = 6; // connections of one request to a Worker
const LONGEST_METADATA = 1024; // bytes
const SHORTEST_LIFE = 60; // seconds
const LONGEST_LIFE = 2 ** 31 - 1;

const encoder = new TextEncoder();
const bytesOf = (text) => encoder.encode(text).length;

// KV takes no dots; "__proto__" is lost on its way where many are asked for.
const NO_KEY = ["", ".", "..", "__proto__"];

function checkKey(key) {
  check(isText(key) && !NO_KEY.includes(key) && key.length <= 512 && bytesOf(key) <= 512,
    'a key is text of 1 to 512 bytes, not ".", ".." or "__proto__"');
}

function checkKeys(keys, most) {
  check(Array.isArray(keys) && keys.length <= most, `an array of at most ${most} comes here`);
  keys.forEach(checkKey);
  check(new Set(keys).size === keys.length, "each key comes once");
}

// What KV did not do: what was wrong with the request, what was too much, and what went wrong there.
function failureOf(error) {
  const message = String(error?.message ?? error);
  const status = Number(/failed: (\d{3})/.exec(message)?.[1]);
  if (status === 429) return new Failure(429, "BUSY", message);
  if (status >= 400 && status < 500) return new Failure(400, "REQUEST", message);
  return new Failure(500, "FAILED", message);
}

async function asked(promise) {
  try {
    return await promise;
  } catch (error) {
    throw failureOf(error);
  }
}

// Writes each, a few at a time; answers the keys of those that were not written, and what KV said of one of them.
async function each(keys, work) {
  const unsuccessful = [];
  let message;
  let next = 0;
  const worker = async () => {
    while (next < keys.length) {
      const at = next++;
      try {
        await work(at);
      } catch (error) {
        unsuccessful.push(keys[at]);
        message = String(error?.message ?? error);
      }
    }
  };
  await Promise.all(Array.from({ length: TOGETHER }, worker));
  return { unsuccessful, message };
}

async function get(namespace, { keys }) {
  checkKeys(keys, MOST_READ);
  const found = keys.length ? await asked(namespace.get(keys, "text")) : new Map();
  return { values: Object.fromEntries(keys.map((key) => [key, found.get(key) ?? null])) };
}

function checkEntry({ value, metadata, expiration_ttl: life }) {
  check(isText(value), "value is text");
  check(metadata === undefined || bytesOf(JSON.stringify(metadata)) <= LONGEST_METADATA,
    `metadata has at most ${LONGEST_METADATA} bytes as JSON`);
  check(life === undefined || (Number.isInteger(life) && life >= SHORTEST_LIFE && life <= LONGEST_LIFE),
    `expiration_ttl is a number of seconds from ${SHORTEST_LIFE} to ${LONGEST_LIFE}`);
}

function put(namespace, { entries }) {
  check(Array.isArray(entries), "entries is an array");
  const keys = entries.map((entry) => entry?.key);
  checkKeys(keys, MOST_WRITTEN);
  entries.forEach(checkEntry);
  return each(keys, (at) => {
    const { key, value, metadata, expiration_ttl: expirationTtl } = entries[at];
    return namespace.put(key, value, { metadata, expirationTtl });
  });
}

function remove(namespace, { keys }) {
  checkKeys(keys, MOST_WRITTEN);
  return each(keys, (at) => namespace.delete(keys[at]));
}

async function list(namespace, { prefix = "", cursor = "", limit = MOST_LISTED }) {
  check(isText(prefix) && bytesOf(prefix) <= 512, "prefix is text of at most 512 bytes");
  check(isText(cursor), "cursor is that of the answer before");
  check(Number.isInteger(limit) && limit >= 1 && limit <= MOST_LISTED, `limit is a number from 1 to ${MOST_LISTED}`);
  const found = await asked(namespace.list({ prefix, limit, ...(cursor && { cursor }) }));
  return { keys: found.keys.map((key) => key.name), cursor: found.list_complete ? null : found.cursor };
}

const paths = {
  get: { work: get, writes: false },
  list: { work: list, writes: false },
  put: { work: put, writes: true },
  delete: { work: remove, writes: true },
};

export async function answerKV(request, env, words, writes) {
  const [binding, path, ...more] = words;
  if (!Object.hasOwn(paths, path ?? "") || more.length) throw new Failure(404, "PATH", "there is no such path");
  if (paths[path].writes && !writes) throw new Failure(403, "READONLY", "this token may only read");
  const namespace = bindingOf(env, binding, "COLLEGEDB_NAMESPACES");
  return answer(await paths[path].work(namespace, await bodyOf(request)));
}
