// New keys whose shard goes by turns. Turns are the main object's, and are spent there together with the entry
// (turns.js); a range sends it the wishes that have come while the ones before were answered, one request at a time.
import { mainOf } from "./ranges.js";

const MOST = 100; // a request

// `range` is the EntryRange.
export function wishing(object) {
  const waiting = [];
  const pending = new Map(); // digest → the promise that its wish was answered
  let sending = null;

  // Null where the main object does not know the lease (any more), or where it is not known what it has done. Then the
  // range goes on by a new lease, with which it gets all that the log has.
  async function ask(range, lease, batch) {
    if (object.lease !== lease) return null;
    try {
      const wishes = batch.map(({ wish }) => wish);
      const answers = await mainOf(object.env).spend(range, lease.id, object.applied, wishes);
      if (answers) {
        object.apply(answers.filter(({ seq }) => seq));
        return answers;
      }
    } catch (error) {
      console.error(error);
    }
    if (object.lease === lease) object.lease = null;
    return null;
  }

  function told(lease, answer) {
    if (!answer || answer.word === "epoch") return null;
    if (answer.word) return { epoch: lease.epoch, raced: true, claimed: false };
    const shard = lease.shards.find((each) => each.id === answer.id)?.name ?? null;
    return { epoch: lease.epoch, id: answer.id, shard, version: 1, claimed: true };
  }

  async function send(range) {
    while (waiting.length) {
      const { lease } = waiting[0];
      const other = waiting.findIndex((each) => each.lease !== lease);
      const batch = waiting.splice(0, Math.min(MOST, other < 0 ? MOST : other));
      const answers = await ask(range, lease, batch);
      batch.forEach(({ resolve }, i) => resolve(told(lease, answers?.[i])));
    }
    sending = null;
  }

  return {
    // The promise of a claim's answer, or of null: then it is to be decided again.
    make(range, lease, wish) {
      const answered = new Promise((resolve) => { waiting.push({ wish, lease, resolve }); });
      pending.set(wish.digest, answered.then(() => pending.delete(wish.digest)));
      sending ??= send(range);
      return answered;
    },
    // What is to be waited for until the digests are free.
    busy: (digests) => pending.size && pending.get(digests.find((digest) => pending.has(digest))),
  };
}
