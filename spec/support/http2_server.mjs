// An HTTP/2 server with TLS on 127.0.0.1: node http2_server.mjs KEY CERTIFICATE
// Prints its port. GET /counts says how many sessions and streams there were; /refuse refuses the first stream,
// /goaway ends the session under the request; anything else is answered after 50 ms. Ends when its input does.
import fs from "node:fs";
import http2 from "node:http2";

const [key, cert] = process.argv.slice(2).map((path) => fs.readFileSync(path));
const counts = { sessions: 0, streams: 0, refused: 0, goaway: 0 };
const server = http2.createSecureServer({ key, cert });

server.on("session", () => counts.sessions++);
server.on("stream", (stream, headers) => {
  const path = headers[":path"];
  stream.on("error", () => {});
  if (path === "/counts") return answer(stream, JSON.stringify(counts));
  counts.streams++;
  if (path === "/refuse" && counts.refused++ === 0) return stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
  if (path === "/goaway" && counts.goaway++ === 0) return stream.session.destroy();
  setTimeout(() => answer(stream, "{}"), 50);
});

function answer(stream, body) {
  if (stream.destroyed) return;
  stream.respond({ ":status": 200, "content-type": "application/json" });
  stream.end(body);
}

server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
