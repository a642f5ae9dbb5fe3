// Workers KV behind a REST interface as Cloudflare's, and a Worker as one with the TypeScript library is, on
// Cloudflare's engine:
//   node neighbour.mjs OPTIONS
// OPTIONS is JSON: { databases: [name…], more: [name…], namespaces: [name…], token }. Bindings have these names,
// which are the ids as well; the Worker's shards are the databases, not those that are more. D1's REST interface is
// at /cdn-cgi/explorer/api. Prints the address, and ends when its input does.
import { Miniflare } from "miniflare";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const { databases = [], more = [], namespaces, token } = JSON.parse(process.argv[2]);
const named = (names) => Object.fromEntries(names.map((name) => [name, name]));

const engine = new Miniflare({
  modules: ["neighbour_worker.js", "kv_rest_worker.js"].map((name) => {
    const path = join(here, name);
    return { type: "ESModule", path, contents: readFileSync(path, "utf8") };
  }),
  modulesRoot: here,
  compatibilityDate: "2026-04-01",
  d1Databases: named([...databases, ...more]),
  kvNamespaces: named(namespaces),
  bindings: { TOKEN: token, SHARDS: databases.join(","), NAMESPACES: namespaces.join(",") },
  unsafeLocalExplorer: true,
  host: "127.0.0.1",
  port: 0,
});
const url = await engine.ready;
console.log(url.origin);

process.stdin.resume();
process.stdin.on("end", async () => {
  await engine.dispose();
  process.exit(0);
});
