// A program as one with the TypeScript library is: it looks a key's mapping up in KV, places a new key by the hash over
// its shards in their order and writes that down, and moves a key by copying its row and changing the mapping. No code
// of that library is in here.
import { answer as rest, slow } from "./kv_rest_worker.js";

async function digest(text) {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function home(key, shards) {
  let hash = 0;
  for (let i = 0; i < key.length; i += 1) hash = ((hash << 5) - hash + key.charCodeAt(i)) | 0;
  return shards[Math.abs(hash) % shards.length];
}

async function mapping(kv, key) {
  const form = await digest(key);
  const found = (await kv.get(`shard:${form}`)) ?? (await kv.get(`multikey:${form}`));
  return found && JSON.parse(found);
}

async function setMapping(kv, key, shard, others) {
  const now = Date.now();
  const forms = await Promise.all([key, ...others].map(digest));
  if (others.length > 0) {
    const value = { shard, createdAt: now, updatedAt: now, keys: forms };
    await kv.put(`multikey:${forms[0]}`, JSON.stringify(value));
  }
  for (const form of forms) {
    await kv.put(`shard:${form}`, JSON.stringify({ shard, createdAt: now, updatedAt: now }));
  }
}

async function shardOf(env, kv, key, others = []) {
  const found = await mapping(kv, key);
  if (found) return { shard: found.shard, known: true };
  const shard = home(key, env.SHARDS.split(","));
  await setMapping(kv, key, shard, others);
  return { shard, known: false };
}

async function statement(env, kv, { key, sql, params, others }) {
  const { shard, known } = await shardOf(env, kv, key, others);
  const { results, meta } = await env[shard].prepare(sql).bind(...(params ?? [])).all();
  return { shard, known, results, changes: meta.changes };
}

// As the library does: the row, then the mapping, then the old row goes.
async function move(env, kv, { key, table, column, shard }) {
  const from = (await mapping(kv, key)).shard;
  const { results } = await env[from].prepare(`SELECT * FROM ${table} WHERE ${column} = ?`).bind(key).all();
  for (const row of results) {
    const names = Object.keys(row);
    await env[shard].prepare(`INSERT OR REPLACE INTO ${table} (${names}) VALUES (${names.map(() => "?")})`)
      .bind(...names.map((name) => row[name])).run();
  }
  const form = await digest(key);
  const before = JSON.parse(await kv.get(`shard:${form}`));
  await kv.put(`shard:${form}`, JSON.stringify({ ...before, shard, updatedAt: Date.now() }));
  await env[from].prepare(`DELETE FROM ${table} WHERE ${column} = ?`).bind(key).run();
  return { from };
}

const calls = {
  statement,
  move,
  many: async (env, kv, { calls: list }) => {
    const answers = [];
    for (const each of list) answers.push(await statement(env, kv, each));
    return { answers };
  },
  mapping: async (env, kv, { key }) => ({ mapping: await mapping(kv, key) }),
  raw: async (env, kv, { name }) => ({ value: await kv.get(name) }),
  put: async (env, kv, { name, value }) => kv.put(name, value).then(() => ({})),
  names: async (env, kv) => ({ names: (await env[env.NAMESPACES.split(",")[0]].list()).keys.map((each) => each.name) }),
};

// POST /neighbour/CALL with its arguments; all else is Cloudflare's REST interface.
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const [, first, name] = url.pathname.split("/");
    if (first !== "neighbour") return rest(request, env, url);
    try {
      const kv = slow(env[env.NAMESPACES.split(",")[0]]);
      return Response.json({ success: true, ...(await calls[name](env, kv, await request.json())) });
    } catch (error) {
      return Response.json({ success: false, errors: [{ message: String(error) }] }, { status: 500 });
    }
  },
};
