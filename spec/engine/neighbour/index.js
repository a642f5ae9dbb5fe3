// The gateway, and beside it a Worker with the TypeScript library: it has bound the gateway's class as its coordinator,
// and asks it as the library does. /library/PATH is what it asks; /library/increment calls the object's method.
import gateway from "../../../worker/src/index.js";

export { EntryRange, ShardCoordinator } from "../../../worker/src/index.js";

export default {
  async fetch(request, env, context) {
    const { pathname } = new URL(request.url);
    if (!pathname.startsWith("/library/")) return gateway.fetch(request, env, context);
    const coordinator = env.COORDINATOR.get(env.COORDINATOR.idFromName("default"));
    const body = request.method === "GET" ? undefined : await request.text();
    if (pathname === "/library/increment") {
      await coordinator.incrementShardCount(JSON.parse(body).shard);
      return new Response("{}");
    }
    return coordinator.fetch(`http://coordinator${pathname.slice("/library".length)}`,
      { method: request.method, headers: { "Content-Type": "application/json" }, body });
  },
};
