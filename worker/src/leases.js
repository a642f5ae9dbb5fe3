// Leases by which ranges serve their entries, as the main object gives them out, and takes them back for a change.
//
// A range without a lease does nothing; so while a change holds ranges, their entries stand still. What a change does
// to entries is written into a log, in the transaction that makes it. A range brings its entries up to the log before
// it goes by a new lease: so nobody sees them from before, whoever dies in between.
import { Failure } from "./answer.js";

const ATTEMPTS = 3;

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

// `log` is the main object's: of(range) → [{ seq, what }], forget(range, seq); call(range, method, …) asks a range,
// and terms() are what it goes by under a lease.
export function leasing({ log, call, terms, boot, life }) {
  const born = Date.now();
  const granted = new Map(); // range → { id, until }
  const held = new Map(); // range → the promise that a change is over
  let last = boot * 2 ** 32; // ids of a later start are higher

  // A new lease, with what the range's log has beyond `applied`.
  async function grant(range, applied) {
    while (held.has(range)) await held.get(range);
    log.forget(range, applied);
    granted.set(range, { id: ++last, until: Date.now() + life });
    return { ...terms(), id: last, life, log: log.of(range) };
  }

  // The end of what a range may still hold. Of those that were given before this start, nothing is known.
  const endOf = (range) => granted.get(range)?.until ?? born + life;

  // Asks a range; undefined where it does not answer.
  async function reach(range, checks) {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      try {
        return await call(range, "freeze", last, log.of(range), checks ?? {});
      } catch (error) {
        console.error(error);
        await pause(50 * attempt);
      }
    }
    return undefined;
  }

  // Takes a lease back. A range that does not answer can not be asked anything; but what it holds ends by itself.
  async function recall(range, checks) {
    const end = endOf(range) + life / 5; // clocks do not go alike
    let answer = {};
    if (checks || Date.now() <= end) {
      answer = await reach(range, checks);
      if (!answer && checks) throw new Failure(429, "BUSY", "a range of entries does not answer");
      if (answer) log.forget(range, answer.applied);
      else await pause(Math.max(0, end - Date.now()));
    }
    granted.delete(range);
    return answer ?? {};
  }

  // Runs `f` with the answers of ranges, a map from each to what it is asked (null: nothing), which stand still
  // meanwhile.
  async function hold(asked, f) {
    let release;
    const over = new Promise((resolve) => { release = resolve; });
    for (const range of asked.keys()) held.set(range, over);
    try {
      // All of them end before any range goes on: one that ends later would take the next lease for the old one.
      const recalled = await Promise.allSettled([...asked].map(([range, checks]) => recall(range, checks)));
      const failed = recalled.find(({ status }) => status === "rejected");
      if (failed) throw failed.reason;
      return await f(recalled.map(({ value }) => value));
    } finally {
      for (const range of asked.keys()) held.delete(range);
      release();
    }
  }

  return { grant, hold, is: (range, id) => granted.get(range)?.id === id && !held.has(range) };
}
