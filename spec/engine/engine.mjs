// Cloudflare's engine with D1 databases of the names given, at a REST interface of Cloudflare's shape:
//   node engine.mjs NAME…
// Prints the address and ends when its input does.
import { Miniflare } from "miniflare";

const names = process.argv.slice(2);
const engine = new Miniflare({
  modules: true,
  script: "export default { fetch() { return new Response('engine'); } }",
  d1Databases: Object.fromEntries(names.map((name) => [name, name])),
  unsafeLocalExplorer: true,
  host: "127.0.0.1",
  port: 0,
});
const url = await engine.ready;
console.log(new URL("/cdn-cgi/explorer/api", url).href);

process.stdin.resume();
process.stdin.on("end", async () => {
  await engine.dispose();
  process.exit(0);
});
