// The gateway, and beside it under /shop the Worker of examples/d1-fleet-worker.js with the same databases.
import gateway from "../../../worker/src/index.js";
import shop from "../../../examples/d1-fleet-worker.js";

export * from "../../../worker/src/index.js";

export default {
  fetch(request, env, context) {
    const isShop = new URL(request.url).pathname.startsWith("/shop");
    return isShop ? shop.fetch(request, env, context) : gateway.fetch(request, env, context);
  },
};
