// The gateway over a database with a copy that lags behind, as D1's read replicas do: what was written to DB is in its
// copy, the database DB_COPY, only once POST /replicate was asked for. Everything else is the gateway's own.
import gateway from "../../../worker/src/index.js";
export * from "../../../worker/src/index.js";

let written = []; // what the copy has yet to do
let version = 0; // of the database
let copied = 0; // of the copy

const bookmarkOf = (number) => `bookmark-${String(number).padStart(8, "0")}`;

// What a session is asked for, told to the database or the copy.
class Session {
  constructor(env, wanted) {
    const words = { "first-unconstrained": 0, "first-primary": Infinity };
    const floor = words[wanted] ?? Number(wanted.slice(9));
    this.env = env;
    this.copy = copied >= floor;
    this.database = this.copy ? env.DB_COPY : env.DB;
    this.seen = this.copy ? copied : version;
  }
  prepare(sql) {
    const make = (params) => ({
      sql,
      params,
      bind: (...values) => make(values),
      real: () => (params.length ? this.database.prepare(sql).bind(...params) : this.database.prepare(sql)),
      all: async () => this.told(await make(params).real().all()),
      raw: (options) => make(params).real().raw(options),
      run: async () => (await this.batch([make(params)]))[0],
    });
    return make([]);
  }
  told(result) {
    result.meta.served_by_primary = !this.copy;
    return result;
  }
  async batch(statements) {
    if (this.copy) {
      this.copy = false;
      this.database = this.env.DB;
    }
    const results = await this.database.batch(statements.map((each) => each.real()));
    written.push(...statements.map(({ sql, params }) => ({ sql, params })));
    this.seen = ++version;
    return results.map((each) => this.told(each));
  }
  getBookmark() {
    return bookmarkOf(this.seen);
  }
}

async function replicate(env) {
  for (const { sql, params } of written) {
    await (params.length ? env.DB_COPY.prepare(sql).bind(...params) : env.DB_COPY.prepare(sql)).run();
  }
  written = [];
  copied = version;
  return new Response("done");
}

export default {
  async fetch(request, env, context) {
    if (new URL(request.url).pathname === "/replicate") return replicate(env);
    const database = Object.create(env.DB, { withSession: { value: (wanted) => new Session(env, wanted) } });
    return gateway.fetch(request, { ...env, DB: database }, context);
  },
};
