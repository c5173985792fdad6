// Requests over HTTP/2 with Node, to the server at the first argument: prints a line for each that is
// as expected, and fails otherwise. With a second argument, the authority's certificate, over TLS.

"use strict";
const assert = require("node:assert");
const fs = require("node:fs");
const http2 = require("node:http2");

const [url, ca] = process.argv.slice(2);
const session = http2.connect(url, ca ? { ca: fs.readFileSync(ca) } : {});
session.on("error", (error) => { throw error; });

function request(headers, content) {
  return new Promise((resolve, reject) => {
    const stream = session.request(headers, { endStream: content === undefined });
    const parts = [];
    let head;
    stream.on("response", (received) => { head = received; });
    stream.on("data", (part) => parts.push(part));
    stream.on("end", () => resolve({ head, content: Buffer.concat(parts) }));
    stream.on("error", reject);
    if (content !== undefined) stream.end(content);
  });
}

async function main() {
  const small = await request({ ":path": "/hello.txt" });
  assert.strictEqual(small.head[":status"], 200);
  assert.strictEqual(small.content.toString(), "Hello World\n");
  console.log("GET");
  const head = await request({ ":path": "/hello.txt", ":method": "HEAD" });
  assert.deepStrictEqual([head.head[":status"], head.head["content-length"], head.content.length],
    [200, "12", 0]);
  console.log("HEAD");
  const part = await request({ ":path": "/hello.txt", range: "bytes=6-10" });
  assert.deepStrictEqual([part.head[":status"], part.content.toString()], [206, "World"]);
  console.log("range");
  assert.strictEqual((await request({ ":path": "/nothing" })).head[":status"], 404);
  console.log("404");
  const early = await request({ ":path": "/hello.txt", ":method": "POST" }, Buffer.alloc(200_000));
  assert.strictEqual(early.head[":status"], 405);
  console.log("405 before the end of an upload");
  const many = await Promise.all(Array.from({ length: 1000 }, () => request({ ":path": "/hello.txt" })));
  assert(many.every(({ content }) => content.toString() === "Hello World\n"));
  console.log("1,000 requests at once");
  const [big, other] = await Promise.all([
    request({ ":path": "/big.bin" }), request({ ":path": "/hello.txt" })]);
  assert.strictEqual(big.content.length, Number(big.head["content-length"]));
  assert.strictEqual(other.content.toString(), "Hello World\n");
  console.log("a large file");
  await new Promise((resolve) => session.ping(resolve));
  console.log("PING");
  session.close();
}

main().catch((error) => { console.error(error); process.exit(1); });
