// Answers, and failures that become answers.

export class Failure extends Error {
  constructor(status, code, message, fields = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.fields = fields;
  }
}

export function check(condition, message) {
  if (!condition) throw new Failure(400, "REQUEST", message);
}

// Half of a character outside of the BMP is no text: another one would be taken in its place.
export const isText = (value) => typeof value === "string" && value.isWellFormed();

export function answer(fields) {
  return Response.json({ success: true, ...fields });
}

const HEADERS = { 401: { "www-authenticate": "Bearer" }, 405: { allow: "POST" } };

// An error that is none of ours tells only that it happened: its text could hold values.
export function answerFailure(error) {
  const { status, code, message, fields } =
    error instanceof Failure ? error : new Failure(500, "FAILED", "the gateway failed; its log says more");
  if (!(error instanceof Failure)) console.error(error);
  return Response.json({ success: false, errors: [{ code, message, ...fields }] },
    { status, headers: HEADERS[status] ?? {} });
}

const LARGEST = 8 << 20; // bytes of a body
const tooLarge = () => new Failure(413, "SIZE", `a body has at most ${LARGEST} bytes`);

// The bytes of a body, no more than it may have, also where its head does not say how many come.
export async function bytesOf(request) {
  const size = request.headers.get("content-length");
  if (size !== null) {
    if (Number(size) > LARGEST) throw tooLarge();
    return request.arrayBuffer();
  }
  const parts = [];
  let length = 0;
  for await (const part of request.body ?? []) {
    length += part.byteLength;
    if (length > LARGEST) throw tooLarge();
    parts.push(part);
  }
  return new Blob(parts).arrayBuffer();
}

// What is no UTF-8 is refused: JavaScript would take marks in its place.
function jsonOf(bytes) {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new Failure(400, "REQUEST", "the body is no JSON in UTF-8");
  }
}

// The body of a POST, as an object.
export async function bodyOf(request) {
  if (request.method !== "POST") throw new Failure(405, "METHOD", "this path takes POST");
  const body = jsonOf(await bytesOf(request));
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw new Failure(400, "REQUEST", "the body is no JSON object");
  }
  return body;
}

// An object's answer to a call of the Worker's: an error that is thrown there would lose its fields on the way.
export async function told(call) {
  try {
    return await call();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const { status, code, message, fields } = error;
    return { failure: { status, code, message, fields } };
  }
}

// What the object has answered, or the failure that it told.
export function asked(answered) {
  const failure = answered?.failure;
  if (failure) throw new Failure(failure.status, failure.code, failure.message, failure.fields);
  return answered;
}
