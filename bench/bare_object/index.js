// What a claim of the coordinator's is measured against: a Durable Object with one statement, behind a Worker that
// looks at nothing.
import { DurableObject } from "cloudflare:workers";

const CLAIM = `INSERT INTO entries VALUES (?1, ?2, 1) ON CONFLICT (digest) DO UPDATE SET version = version
  RETURNING shard, version`;

export class ShardCoordinator extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS entries (digest TEXT PRIMARY KEY, shard, version) WITHOUT ROWID");
  }

  claim(digest, shard) { return this.ctx.storage.sql.exec(CLAIM, digest, shard).one(); }
}

export class EntryRange extends DurableObject {}

export default {
  async fetch(request, env) {
    const { digest, shard } = await request.json();
    return Response.json(await env.COORDINATOR.getByName("default").claim(digest, shard));
  },
};
