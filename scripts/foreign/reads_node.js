// Parses requests with Node's HTTP server, whose parser is llhttp. Each line of standard input is
// the input of one connection in hexadecimal; each line of standard output is its result in JSON.
'use strict';

const http = require('node:http');
const readline = require('node:readline');
const { Duplex } = require('node:stream');

// A connection without a socket. It delivers `data` byte by byte, and then the end of input. So
// Node handles each request before it reads the next byte, which may be invalid.
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

// Node's limit is above Sockeye's, so that limits cause no difference between the two.
const options = { maxHeaderSize: 64 * 1024, requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 0 };

function read(data) {
  return new Promise((done) => {
    const requests = [];
    const server = http.createServer(options);
    server.maxHeadersCount = 0;
    let end = null;
    let pending = 0;
    let closed = false;
    const refuse = (why) => { end ??= { end: 'refused', why }; };
    const receive = (request, response) => {
      const parsed = {
        method: request.method,
        target: request.url,
        minor: request.httpVersionMinor,
        fields: pairs(request.rawHeaders),
        body: '',
      };
      pending += 1;
      request.on('data', (piece) => { parsed.body += piece.toString('latin1'); });
      request.on('end', () => {
        parsed.trailers = pairs(request.rawTrailers);
        requests.push(parsed);
        pending -= 1;
        response.end();
      });
      request.on('error', () => {});
    };
    server.on('request', receive);
    server.on('checkContinue', (request, response) => {
      response.writeContinue();
      receive(request, response);
    });
    server.on('checkExpectation', (request, response) => { refuse('417'); response.writeHead(417).end(); });
    server.on('connect', (request, socket) => { refuse('CONNECT'); socket.destroy(); });
    server.on('clientError', (error, socket) => { refuse(error.code ?? error.message); socket.destroy(); });
    const client = new Client(data);
    client.on('close', () => {
      if (closed) return;
      closed = true;
      end ??= pending > 0 ? { end: 'incomplete', why: '' } : { end: 'done', why: '' };
      done({ requests, ...end });
    });
    // Node itself answers some requests with an error status, such as one without Host.
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
