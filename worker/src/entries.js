// The entries of a range of digests. They are served only under a lease of the main object (leases.js), which is kept
// in memory: it says the epoch and the shards, and all that stands in the log up to it has been done here.
import { DurableObject } from "cloudflare:workers";
import { Failure, told } from "./answer.js";
import * as entries from "./entries_sql.js";
import { mainOf } from "./ranges.js";
import { checkHashed, idOf, isNotClosed, nameOf, openShard } from "./terms.js";
import { wishing } from "./wishes.js";

const ATTEMPTS = 10; // at a lease that lasts until it is used

export class EntryRange extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    this.sql = ctx.storage.sql;
    this.voided = 0; // leases up to this one were taken back
    this.lease = null;
    this.wishes = wishing(this);
    ctx.storage.transactionSync(() => { this.applied = entries.makeTables(this.sql); });
  }

  // --- leases ---------------------------------------------------------------------------------

  // Does what of the log was not done yet.
  apply(log) {
    const open = log.filter(({ seq }) => seq > this.applied);
    if (!open.length) return;
    this.ctx.storage.transactionSync(() => {
      for (const { what } of open) entries.doWhat(this.sql, JSON.parse(what));
      entries.setApplied(this.sql, open.at(-1).seq);
    });
    this.applied = open.at(-1).seq;
  }

  async ask(range) {
    const began = Date.now();
    const { log, ...lease } = await mainOf(this.env).lease(range, this.applied);
    this.apply(log);
    if (lease.id > this.voided) this.lease = { ...lease, until: began + lease.life };
  }

  // Runs `f(lease)`, which looks and writes at once, while there is a lease, and no turn is being spent for the
  // digests.
  async under(range, digests, f) {
    for (let attempt = 0; attempt < ATTEMPTS; ) {
      const busy = this.wishes.busy(digests);
      if (busy) {
        await busy;
      } else if (this.lease && Date.now() < this.lease.until) {
        return f(this.lease);
      } else {
        attempt++;
        this.asking ??= this.ask(range).finally(() => { this.asking = null; });
        await this.asking;
      }
    }
    throw new Failure(429, "BUSY", "the directory's record changes faster than its entries can be asked for");
  }

  // Before a key that was given as text is written: that there is no secret is settled.
  async settle(range, text) {
    if (!text) return;
    const settled = await this.under(range, [], (lease) => lease.settled);
    if (!settled) await mainOf(this.env).settle();
  }

  // For a change of the main object's: the lease, and all up to `id`, is over. Answers what it asks of the entries,
  // which stand still until there is a new one.
  freeze(_, id, log, checks) {
    this.voided = Math.max(this.voided, id);
    this.lease = null;
    this.apply(log);
    return { applied: this.applied, ...entries.lookAt(this.sql, checks) };
  }

  // --- single entries -------------------------------------------------------------------------

  lookup(range, { digest, text }) {
    return told(() => this.under(range, [], (lease) => {
      checkHashed(lease, text);
      return { epoch: lease.epoch, ...this.entry(lease, digest) };
    }));
  }

  // An entry as it is told; of a shard without a record, there is only the number.
  entry(lease, digest) {
    const row = entries.entryOf(this.sql, digest);
    return row && { id: row.shard, shard: nameOf(lease, row.shard), version: row.version };
  }

  // Gives a key to a shard unless it has an entry; nobody, when `epoch` is named and another one.
  claim(range, { digest, text, shard, epoch }) {
    return told(async () => {
      await this.settle(range, text);
      return this.under(range, [digest], (lease) => {
        checkHashed(lease, text);
        if (epoch !== undefined && epoch !== lease.epoch) return { epoch: lease.epoch, claimed: false };
        const there = this.entry(lease, digest);
        if (there) return { epoch: lease.epoch, ...there, claimed: false };
        const id = epoch !== undefined && typeof shard === "number" ? shard : openShard(lease, shard).id;
        entries.insert(this.sql, digest, id);
        return { epoch: lease.epoch, id, shard: nameOf(lease, id), version: 1, claimed: true };
      });
    });
  }

  // The same with turns: `rotate` is a turn's name and `shards` are those that take turns, or `taken` are the turns
  // that `shard` was chosen by, as they were seen.
  async allot(range, wish) {
    return told(async () => {
      await this.settle(range, wish.text);
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        const answered = await this.under(range, [wish.digest], (lease) => {
          checkHashed(lease, wish.text);
          if (wish.epoch !== lease.epoch) return { epoch: lease.epoch, claimed: false };
          const there = this.entry(lease, wish.digest);
          return there ? { epoch: lease.epoch, ...there, claimed: false } : this.wishes.make(range, lease, wish);
        });
        if (answered) return answered;
      }
      throw new Failure(429, "BUSY", "the directory's record changes faster than its entries can be made");
    });
  }

  // Sets an entry whose version is still that (null: that is not there); the version goes on, or with `keep` stays.
  compareAndSet(range, { digest, text, version, shard, keep }) {
    return told(async () => {
      await this.settle(range, text);
      return this.under(range, [digest], (lease) => {
        checkHashed(lease, text);
        const there = this.entry(lease, digest);
        const id = idOf(lease, shard, version === null);
        const allowed = keep && version !== null ? isNotClosed(lease, id) : lease.shards.some((each) => each.id === id);
        if (!allowed || (there?.version ?? null) !== version) return { epoch: lease.epoch, ...there, set: false };
        const next = version === null ? 1 : version + (keep ? 0 : 1);
        if (there) entries.update(this.sql, digest, id, next);
        else entries.insert(this.sql, digest, id);
        return { epoch: lease.epoch, id, shard: nameOf(lease, id), version: next, set: true };
      });
    });
  }

  // --- many entries -----------------------------------------------------------------------------

  publish(range, list, home) {
    return told(() => this.under(range, list.map(([digest]) => digest), (lease) => {
      entries.publish(this.sql, list.filter(([, id]) => isNotClosed(lease, id)), home);
      return {};
    }));
  }

  known(range, digests) {
    return told(() => this.under(range, [], ({ epoch }) => ({ epoch, rows: entries.known(this.sql, digests) })));
  }

  counts(range) { return told(() => this.under(range, [], () => ({ rows: entries.counts(this.sql) }))); }

  page(range, after, limit) {
    return told(() => this.under(range, [], () => ({ digests: entries.page(this.sql, after, limit) })));
  }
}
