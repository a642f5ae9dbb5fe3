// Who may do what: two tokens, compared without telling by the time where they differ.
import { Failure } from "./answer.js";

const ROOM = 512; // bytes that every token is compared in
const encoder = new TextEncoder();

// The token at the front of a room of fixed size, with its length at the end.
function padded(token) {
  const room = new Uint8Array(ROOM + 2);
  const { read, written } = encoder.encodeInto(token, room.subarray(0, ROOM));
  room[ROOM] = written >> 8;
  room[ROOM + 1] = written & 255;
  return { room, fits: read === token.length };
}

function same(given, token) {
  const other = padded(token);
  const equal = crypto.subtle.timingSafeEqual(given.room, other.room);
  return equal && given.fits && other.fits && token !== "";
}

// A secret may hold several tokens, while one takes the place of another. Each is looked at.
const isOf = (given, secret) => (secret ?? "").split(/\s+/).map((token) => same(given, token)).includes(true);

// May the request's sender write? One who may not even read is a Failure.
export function mayWrite(request, env) {
  const header = request.headers.get("authorization") ?? "";
  const given = padded(header.startsWith("Bearer ") ? header.slice(7) : "");
  if (!env.COLLEGEDB_TOKEN) throw new Failure(503, "CONFIG", "the secret COLLEGEDB_TOKEN is not set");
  const full = isOf(given, env.COLLEGEDB_TOKEN);
  const reads = isOf(given, env.COLLEGEDB_READ_TOKEN);
  if (!full && !reads) throw new Failure(401, "TOKEN", "the token is missing or wrong");
  return full;
}

// A binding of a list such as "EAST, WEST", or an array; what is not on it is as if it were not there.
export function bindingOf(env, name, list) {
  const allowed = String(env[list] ?? "").split(",").map((each) => each.trim());
  if (!name || !allowed.includes(name)) {
    throw new Failure(404, "BINDING", `this binding is not in ${list}`);
  }
  if (!Object.hasOwn(env, name)) throw new Failure(503, "CONFIG", `${list} names a binding that is not there: ${name}`);
  return env[name];
}
