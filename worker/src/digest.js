// What a key's entry stands under: as core.digest of the Lua client (src/core/key.c), without a secret.
import { check, isText } from "./answer.js";

const LONGEST = 512; // bytes of a key
const encoder = new TextEncoder();

export const hexOf = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

async function hash(keyspace, key) {
  const space = encoder.encode(keyspace);
  const text = encoder.encode(key);
  check(text.length <= LONGEST, `a key has at most ${LONGEST} bytes`);
  const bytes = new Uint8Array(8 + space.length + text.length);
  new DataView(bytes.buffer).setUint32(0, space.length, true);
  bytes.set(space, 8);
  bytes.set(text, 8 + space.length);
  return hexOf(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes), 0, 16));
}

// The digest that a request names, or that of its key; and whether it is a key's (`text`).
export async function digestOf({ digest, key, keyspace = "" }) {
  if (digest !== undefined) {
    check(typeof digest === "string" && /^[0-9a-f]{32}$/.test(digest), "digest is 32 hexadecimal digits");
    return { digest, text: false };
  }
  check(isText(key) && key !== "", "key is a string that is not empty");
  check(isText(keyspace), "keyspace is a string");
  return { digest: await hash(keyspace, key), text: true };
}
