// Workers KV as Cloudflare's REST interface has it (bulk get, put and delete; list), over the real binding; and KV's
// slowness and failures, as POST /control wants them:
//   { fail: { key: times } }   these keys are among the unsuccessful ones so often
//   { busy: times }            writes are answered with 429 so often
//   { deny: true }             writes are refused with 403
//   { down: true }             everything is answered with 500
//   { freeze: true }           who reads goes on seeing what was there before, also "not found"
//   {}                         all is well again
const state = { fail: {}, busy: 0, deny: false, down: false, old: null, requests: 0, written: [] };

function control(wanted) {
  const { requests, written } = state;
  Object.assign(state, { fail: wanted.fail ?? {}, busy: wanted.busy ?? 0, deny: wanted.deny ?? false,
    down: wanted.down ?? false, written: [] });
  state.old = wanted.freeze ? (state.old ?? new Map()) : null;
  state.requests = 0;
  return Response.json({ requests, written });
}

// The binding, as slow as it is told to be.
export function slow(kv) {
  const remember = async (key) => {
    if (state.old && !state.old.has(key)) state.old.set(key, await kv.get(key));
  };
  return {
    get: async (key) => (state.old?.has(key) ? state.old.get(key) : kv.get(key)),
    put: async (key, value) => {
      await remember(key);
      await kv.put(key, value);
    },
    delete: async (key) => {
      await remember(key);
      await kv.delete(key);
    },
    list: (options) => kv.list(options),
  };
}

const success = (result, more) => Response.json({ success: true, errors: [], messages: [], result, ...more });

function failure(status, code, message) {
  return Response.json({ success: false, errors: [{ code, message }], messages: [], result: null }, { status });
}

// Does something with every key, but those that are to fail.
async function bulk(keys, run) {
  const unsuccessful = [];
  const runs = [];
  for (const [i, key] of keys.entries()) {
    if (state.fail[key] > 0) {
      state.fail[key] -= 1;
      unsuccessful.push(key);
    } else {
      runs.push(run(i));
      state.written.push(key);
    }
  }
  await Promise.all(runs);
  return success({ successful_key_count: keys.length - unsuccessful.length, unsuccessful_keys: unsuccessful });
}

async function write(kv, request, path) {
  if (state.deny) return failure(403, 10000, "the token may not write");
  if (state.busy > 0) {
    state.busy -= 1;
    return failure(429, 10048, "too many writes to the same key");
  }
  const body = await request.json();
  if (!Array.isArray(body) || body.length > 10000) return failure(400, 10012, "a bulk takes at most 10000");
  if (path === "bulk") return bulk(body.map((each) => each.key), (i) => kv.put(body[i].key, body[i].value));
  return bulk(body, (i) => kv.delete(body[i]));
}

async function read(kv, request) {
  const { keys, type } = await request.json();
  if (keys.length > 100 || type !== "text") return failure(400, 10012, "a bulk get takes at most 100 keys");
  const found = await Promise.all(keys.map((key) => kv.get(key)));
  return success({ values: Object.fromEntries(keys.map((key, i) => [key, found[i]])) });
}

async function list(kv, url) {
  const limit = Number(url.searchParams.get("limit") ?? 1000);
  if (limit < 10 || limit > 1000) return failure(400, 10012, "limit is from 10 to 1000");
  const found = await kv.list({ prefix: url.searchParams.get("prefix") ?? "", limit,
    cursor: url.searchParams.get("cursor") ?? undefined });
  return success(found.keys.map(({ name }) => ({ name })),
    { result_info: { count: found.keys.length, cursor: found.list_complete ? "" : found.cursor } });
}

// accounts/ACCOUNT/storage/kv/namespaces/NAMESPACE/…
export async function answer(request, env, url) {
  if (url.pathname === "/control") return control(await request.json());
  const [namespace, path] = url.pathname.match(/\/namespaces\/([^/]+)\/(.+)$/)?.slice(1) ?? [];
  const known = request.headers.get("authorization") === `Bearer ${env.TOKEN}`;
  if (!known) return failure(401, 10000, "Authentication error");
  if (!env.NAMESPACES.split(",").includes(namespace)) return failure(404, 10013, "namespace not found");
  state.requests += 1;
  if (state.down) return failure(500, 10001, "service unavailable");
  const kv = slow(env[namespace]);
  if (request.method === "PUT" && path === "bulk") return write(kv, request, path);
  if (request.method === "POST" && path === "bulk/delete") return write(kv, request, path);
  if (request.method === "POST" && path === "bulk/get") return read(kv, request);
  if (request.method === "GET" && path === "keys") return list(kv, url);
  return failure(405, 10000, "no such method");
}
