// The gateway before a D1 that fails as a request's headers tell: x-fault is D1's message, x-when "before" or "after"
// the work was done, or "again" for all work but the first.
import main from "../../../worker/src/index.js";

export { EntryRange, ShardCoordinator } from "../../../worker/src/index.js";

// The session of this request, in whose first batch or query D1 fails.
function faulty(session, message, when) {
  let open = true;
  const fail = async (work) => {
    const first = open;
    open = false;
    if (first === (when === "again")) return work();
    if (when === "after") await work();
    throw new Error(message);
  };
  const wrapped = (statement) => ({
    real: statement,
    bind: (...values) => wrapped(statement.bind(...values)),
    all: () => fail(() => statement.all()),
    run: () => statement.run(),
    raw: (options) => fail(() => statement.raw(options)),
  });
  return {
    prepare: (sql) => wrapped(session.prepare(sql)),
    batch: (list) => fail(() => session.batch(list.map(({ real }) => real))),
    getBookmark: () => session.getBookmark(),
  };
}

export default {
  fetch(request, env, context) {
    const message = request.headers.get("x-fault");
    const withSession = (name) => faulty(env.DB.withSession(name), message, request.headers.get("x-when"));
    const DB = { withSession, prepare: (sql) => env.DB.prepare(sql) };
    return main.fetch(request, message ? { ...env, DB } : env, context);
  },
};
