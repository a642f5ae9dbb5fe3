// Entries are spread over objects by their digest's first byte.

import { Failure } from "./answer.js";

const NAME = "default"; // as the TypeScript library's

// How many ranges the variable says, if it is there and says so.
export function wantedRanges({ COLLEGEDB_RANGES: wanted }) {
  const count = Number(wanted);
  return wanted && Number.isInteger(count) && count >= 1 && count <= 256 ? count : undefined;
}

// The first use settles the number for good, so a wrong one is refused and not replaced.
export function mainOf(env) {
  const bound = env.COORDINATOR && env.ENTRIES;
  if (env.COLLEGEDB_RANGES && !wantedRanges(env)) {
    throw new Failure(503, "CONFIG", "COLLEGEDB_RANGES takes a whole number from 1 to 256");
  }
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
