// The gateway Worker (worker/) on Cloudflare's engine:
//   node gateway.mjs OPTIONS
// OPTIONS is JSON: { port, persist, prefix, databases: [name], namespaces: [name], vars, objects, worker }, where
// `objects` is false if the Worker has none, and `worker` is the path of another main module. Bindings of databases
// and namespaces have their names. Prints the address, and ends when its input does.
import { Miniflare } from "miniflare";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const options = JSON.parse(process.argv[2] ?? "{}");

// In the engine's store, so that runs on one machine do not share them.
const named = (names = []) => Object.fromEntries(names.map((name) => [name, `${options.prefix ?? ""}${name}`]));

const engine = new Miniflare({
  modules: true,
  modulesRoot: root,
  modulesRules: [{ type: "ESModule", include: ["**/*.js"] }],
  scriptPath: resolve(root, options.worker ?? "worker/src/index.js"),
  compatibilityDate: "2026-04-01",
  d1Databases: named(options.databases),
  kvNamespaces: named(options.namespaces),
  durableObjects: options.objects === false ? {} : {
    COORDINATOR: { className: "ShardCoordinator", useSQLite: true },
    ENTRIES: { className: "EntryRange", useSQLite: true },
  },
  bindings: options.vars ?? {},
  host: "127.0.0.1",
  port: options.port ?? 0,
  ...(options.persist ? { defaultPersistRoot: options.persist } : {}),
});
const url = await engine.ready;
console.log(url.origin);

process.stdin.resume();
process.stdin.on("end", async () => {
  await engine.dispose();
  process.exit(0);
});
