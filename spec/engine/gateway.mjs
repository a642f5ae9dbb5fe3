// The gateway Worker (worker/) on Cloudflare's engine:
//   node gateway.mjs OPTIONS
// OPTIONS is JSON: { port, persist, databases: [name…], namespaces: [name…], vars: {…}, worker: "path of another main module" }.
// Bindings of databases and namespaces have their names. Prints the address, and ends when its input does.
import { Miniflare } from "miniflare";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const options = JSON.parse(process.argv[2] ?? "{}");
const source = resolve(here, "../../worker/src");
const main = options.worker ? resolve(options.worker) : join(source, "index.js");

// All modules beside the main one, and of the Worker; the main one first.
const files = [main];
for (const folder of new Set([dirname(main), source])) {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (name.endsWith(".js") && path !== main) files.push(path);
  }
}
const classes = { COORDINATOR: ["ShardCoordinator", "coordinator.js"], ENTRIES: ["EntryRange", "entries.js"] };
const objects = {};
for (const [name, [className, file]] of Object.entries(classes)) {
  if (existsSync(join(source, file))) objects[name] = { className, useSQLite: true };
}

const engine = new Miniflare({
  modules: files.map((path) => ({ type: "ESModule", path, contents: readFileSync(path, "utf8") })),
  modulesRoot: resolve(here, "../.."),
  compatibilityDate: "2026-04-01",
  d1Databases: Object.fromEntries((options.databases ?? []).map((name) => [name, `${options.prefix ?? ""}${name}`])),
  kvNamespaces: Object.fromEntries((options.namespaces ?? []).map((name) => [name, `${options.prefix ?? ""}${name}`])),
  durableObjects: objects,
  bindings: options.vars ?? {},
  host: "127.0.0.1",
  port: options.port ?? 0,
  ...(options.persist ? { defaultPersistRoot: options.persist } : {}),
  log: undefined,
});
const url = await engine.ready;
console.log(url.origin);

process.stdin.resume();
process.stdin.on("end", async () => {
  await engine.dispose();
  process.exit(0);
});
