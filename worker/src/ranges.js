// Entries are spread over objects by their digest's first byte.

import { Failure } from "./answer.js";

const NAME = "default"; // as the TypeScript library's

export function mainOf(env) {
  const bound = env.COORDINATOR && env.ENTRIES;
  if (!bound) throw new Failure(503, "CONFIG", "there are no bindings COORDINATOR and ENTRIES");
  return env.COORDINATOR.getByName(NAME);
}

// The range of a digest in hexadecimal digits.
export const rangeOf = (digest, count) => (parseInt(digest.slice(0, 2), 16) * count) >> 8;

export const objectOf = (env, range, count) => env.ENTRIES.getByName(`entries ${range} of ${count}`);

// Sets items down under the ranges of their digests: a map from a range to its items.
export function spread(items, count, digestOf) {
  const parts = new Map();
  for (const item of items) {
    const range = rangeOf(digestOf(item), count);
    if (!parts.has(range)) parts.set(range, []);
    parts.get(range).push(item);
  }
  return parts;
}
