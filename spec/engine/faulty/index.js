// The Worker with a fault between its objects, for spec/coordinator_lost_spec.lua. At the n-th call of one object by
// another it is
//   refused   not made
//   lost      done, and its answer is lost
//   caller    done, and whoever called is reset
//   callee    done, and whoever was called is reset
//   slow      done, and answered a second later
//   cut       done, and from then on no range can be frozen
//
// POST /fault { at, how, method } sets it, for calls of that method or all, and answers how many there were since;
// POST /calls answers that too. POST /reset resets the main object.
import gateway, { EntryRange as Entries, ShardCoordinator as Coordinator } from "../../../worker/src/index.js";

let fault = { at: 0, how: "", method: null, calls: 0 };

Coordinator.life = 1500; // a test can not wait for long

async function call(stub, method, args, context) {
  if (fault.how === "cut" && fault.calls >= fault.at && method === "freeze") throw new Error("it can not be reached");
  if ((fault.method ?? method) !== method || ++fault.calls !== fault.at) return stub[method](...args);
  if (fault.how === "refused") throw new Error("the call was not made");
  const answer = await stub[method](...args);
  if (fault.how === "slow") await new Promise((resolve) => { setTimeout(resolve, 1000); });
  if (["cut", "slow"].includes(fault.how)) return answer;
  if (fault.how === "callee") await stub.reset().catch(() => {});
  if (fault.how === "caller") context.abort("reset by the spec");
  throw new Error("the answer was lost");
}

const faulty = (namespace, context) => ({
  getByName(name) {
    const stub = namespace.getByName(name);
    return new Proxy({}, { get: (_, method) => (...args) => call(stub, method, args, context) });
  },
});

const surround = (env, context) =>
  ({ ...env, COORDINATOR: faulty(env.COORDINATOR, context), ENTRIES: faulty(env.ENTRIES, context) });

export class ShardCoordinator extends Coordinator {
  constructor(context, env) { super(context, surround(env, context)); }
  reset() { this.ctx.abort("reset by the spec"); }
}

export class EntryRange extends Entries {
  constructor(context, env) { super(context, surround(env, context)); }
  reset() { this.ctx.abort("reset by the spec"); }
}

export default {
  async fetch(request, env, context) {
    const { pathname } = new URL(request.url);
    if (pathname === "/reset") await env.COORDINATOR.getByName("default").reset().catch(() => {});
    if (pathname === "/reset") return new Response("{}");
    if (pathname === "/calls") return Response.json({ calls: fault.calls });
    if (pathname !== "/fault") return gateway.fetch(request, env, context);
    const { calls } = fault;
    fault = { ...(await request.json()), calls: 0 };
    return Response.json({ calls });
  },
};
