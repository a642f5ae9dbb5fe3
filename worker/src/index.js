// The gateway: D1 databases, KV namespaces and a coordinator for programs outside of Cloudflare.
// What it answers is in docs/gateway-protocol.md.
import { Failure, answerFailure } from "./answer.js";
import { mayWrite } from "./access.js";
import { answerCoordinator } from "./coordinating.js";
import { answerD1 } from "./d1.js";
import { answerKV } from "./kv.js";

export { ShardCoordinator } from "./coordinator.js";
export { EntryRange } from "./entries.js";

// The first word of a path, and who answers it: (request, env, words behind it, may it write, context).
const services = { coordinator: answerCoordinator, d1: answerD1, kv: answerKV };

export default {
  async fetch(request, env, context) {
    try {
      const writes = mayWrite(request, env);
      const [first, ...words] = new URL(request.url).pathname.slice(1).split("/");
      if (!Object.hasOwn(services, first)) throw new Failure(404, "PATH", "there is no such path");
      return await services[first](request, env, words, writes, context);
    } catch (error) {
      return answerFailure(error);
    }
  },
};
