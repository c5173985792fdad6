// Parses requests with Node's HTTP server, whose parser is llhttp: reads lines of hexadecimal, and
// writes lines of JSON.
'use strict';

const http = require('node:http');
const readline = require('node:readline');
const { Duplex } = require('node:stream');

// A connection without a socket. It delivers `data` byte by byte, so that a request is handled before
// an error after it is found, and then the end of input.
class Client extends Duplex {
  constructor(data) {
    super({ allowHalfOpen: true });
    const step = (at) => {
      if (this.destroyed || this.writableEnded) return this.destroy();
      this.push(at < data.length ? data.subarray(at, at + 1) : null);
      if (at < data.length) setImmediate(step, at + 1);
    };
    setImmediate(step, 0);
  }
  _read() {}
  setTimeout() { return this; }
  setNoDelay() { return this; }
  setKeepAlive() { return this; }
}

const pairs = (list) => {
  const lines = [];
  for (let at = 0; at < list.length; at += 2) lines.push([list[at], list[at + 1]]);
  return lines;
};

// No smaller than our own limit, so that limits are no difference.
const options = { maxHeaderSize: 64 * 1024, requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 0 };

function read(data) {
  return new Promise((done) => {
    const requests = [];
    const server = http.createServer(options);
    server.maxHeadersCount = 0;
    let end = null;
    let pending = 0;
    let over = false;
    const refuse = (why) => { end ??= { end: 'refused', why }; };
    const take = (request, response) => {
      const now = {
        method: request.method,
        target: request.url,
        minor: request.httpVersionMinor,
        fields: pairs(request.rawHeaders),
        body: '',
      };
      pending += 1;
      request.on('data', (piece) => { now.body += piece.toString('latin1'); });
      request.on('end', () => {
        now.trailers = pairs(request.rawTrailers);
        requests.push(now);
        pending -= 1;
        response.end();
      });
      request.on('error', () => {});
    };
    server.on('request', take);
    server.on('checkContinue', (request, response) => { response.writeContinue(); take(request, response); });
    server.on('checkExpectation', (request, response) => { refuse('417'); response.writeHead(417).end(); });
    server.on('connect', (request, socket) => { refuse('CONNECT'); socket.destroy(); });
    server.on('clientError', (error, socket) => { refuse(error.code ?? error.message); socket.destroy(); });
    const client = new Client(data);
    client.on('close', () => {
      if (over) return;
      over = true;
      end ??= pending > 0 ? { end: 'incomplete', why: '' } : { end: 'done', why: '' };
      done({ requests, ...end });
    });
    // A handler's refusal that node makes by itself: no Host, and the like.
    client._write = (chunk, encoding, callback) => {
      const status = /^HTTP\/1\.1 ([45]\d\d) /.exec(chunk.toString('latin1'));
      if (status) refuse(status[1]);
      callback();
    };
    server.emit('connection', client);
  });
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await read(Buffer.from(line, 'hex'))));
  }
})();
