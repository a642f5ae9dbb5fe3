// What a range goes by under a lease (record.js: termsOf), looked at for one entry.
import { Failure } from "./answer.js";

export function checkHashed(lease, text) {
  if (text && !lease.plain) {
    throw new Failure(409, "SECRET", "the directory has a mapping_secret, so a key is to be given by its digest");
  }
}

export const nameOf = (lease, id) => lease.shards.find((each) => each.id === id)?.name ?? null;

export const isNotClosed = (lease, id) => !lease.shards.some((each) => each.id === id && each.drained === 2);

function shardOf(lease, shard) {
  const found = lease.shards.find((each) => each.name === shard || each.id === shard);
  if (!found) throw new Failure(400, "SHARD", "the directory has no such shard");
  return found;
}

// A shard for a new key, claimed by one that does not know the record. What could be in a shard without an entry, it
// can not look for.
export function openShard(lease, shard) {
  checkPlacement(lease);
  const found = shardOf(lease, shard);
  if (found.drained) throw new Failure(409, "SHARD", "this shard is drained: it gets no new keys");
  return found;
}

export function checkPlacement({ family, shards }) {
  if (family === "hash") {
    throw new Failure(409, "PLACEMENT", "the directory places new keys by their hash, without an entry: claims need "
      + "another strategy, such as hash_compat or round_robin");
  }
  if (family && shards.some((each) => !each.integrated)) {
    throw new Failure(409, "PLACEMENT", "a shard of the directory has not been integrated yet");
  }
}

// A Lua program names shards by their numbers, which it has from the record.
export function idOf(lease, shard, isNew) {
  if (typeof shard === "number") return shard;
  return (isNew ? openShard : shardOf)(lease, shard).id;
}
