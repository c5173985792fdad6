"""One table of requests over HTTP/1.1 and HTTP/2: status, fields and content have to be the same."""

import collections
import json

import clients
from authority import Authority
from clients import head, sha
from folder import ODD_NAMES, TEXTS
from running import expect
from urls import target_of

WIRES = ("http1.1", "http2")
# Fields of a connection, which HTTP/2 doesn't have (RFC 9113, 8.2.2).
OF_CONNECTIONS = ("connection", "keep-alive", "transfer-encoding", "upgrade", "proxy-connection")
CODINGS = ("gzip", "br", "zstd", "gzip, br, zstd", "identity", "br;q=0.1, gzip", "*", "*;q=0",
           "identity;q=0", "")
RANGES = ("bytes=0-0", "bytes=6-", "bytes=-6", "bytes=0-99", "bytes=0-1,4-5", "bytes=5-4", "bytes=12-",
          "bytes=-0", "bytes=", "lines=1-2")
TARGETS = (
    # Folders, and redirects to them.
    "/", "/sub/", "/sub", "/sub?a=b", "/sub/page", "/sub/page.html", "/many/", "/texts/", "/partial/",
    "/links/", "/built/", "/hello.txt/", "//hello.txt", "//sub", "/sub/../hello.txt", "/./hello.txt",
    "/odd/{id}.txt", '/odd/<tag>.txt"', "/odd/a|b^c.txt", "/odd/a%20b.txt", "/odd/%61%7Cb%5Ec.txt",
    "/hello%2Etxt", "/hello.txt%00", "/hello.txt?", "/hello.txt?x=|{}^`\\", "/%2e%2e/outside.txt",
    "/../outside.txt", "/sub%2Fpage.html", "/backslash/back%5Cslash.txt", "/a%zz", "/%", "/%ff",
    # Listings and archives.
    "/?format=json", "/many/?format=json", "/many/?format=text", "/many/?format=tar", "/sub/?format=tar",
    "/partial/?format=tar", "/partial/?format=json", "/many/?format=rar", "/many/?sort=size&order=desc",
    "/many/?sort=colour", "/many/?q=77", "/many/?q=zebra", "/many/?view=grid", "/many/?per=100",
    "/many/?per=0", "/vast/?format=json", "/hello.txt?format=json",
    # What is not there, and what may not be seen.
    "/nothing", "/nothing/", "/.hidden/secret.txt", "/links/absolute-outside.txt", "/links/loop.txt",
    "/links/relative.txt", "/partial/unreadable.txt", "/partial/pipe-a", "/nothing?format=json",
    # Types, and files that are stored compressed.
    "/types/video.ts", "/types/program.ts", "/types/map.kml", "/compressed/picture.svgz",
    "/compressed/game.wasm", "/compressed/backup.gz", "/.well-known/apple-app-site-association",
    "/texts/long.txt",
)

Summary = collections.namedtuple("Summary", "status fields content")
# Prints the responses over HTTP/1.1, and those over HTTP/2 on one connection: status, fields, and the
# SHA-256 of the content.
NODE = """
const {createHash} = require('crypto'), http = require('http'), http2 = require('http2');
const [url, path] = process.argv.slice(1);
const requests = JSON.parse(require('fs').readFileSync(path));
const agent = new http.Agent({keepAlive: true});
const fields = (lines) => Object.fromEntries(lines.map((line) => {
  const at = line.indexOf(':');
  return [line.slice(0, at), line.slice(at + 1).trim()];
}));
const pairs = (raw) => raw.flatMap((name, at) => at % 2 ? [] : [[name, raw[at + 1]]]);
const collected = (stream, done) => {
  const hash = createHash('sha256');
  stream.on('data', (part) => hash.update(part));
  stream.on('end', () => done(hash.digest('hex')));
};
const old = ([method, path, lines]) => new Promise((resolve, reject) => {
  const request = http.request(url, {method, path, headers: fields(lines), agent});
  request.on('response', (response) => collected(response, (content) =>
    resolve([response.statusCode, pairs(response.rawHeaders), content])));
  request.on('error', (error) => reject(Error(`${method} ${path} ${lines}: ${error}`)));
  request.end();
});
const session = http2.connect(url);
const made = ([method, path, lines]) => new Promise((resolve, reject) => {
  const {Host, ...others} = fields(lines);
  const authority = Host === undefined ? {} : {':authority': Host};
  const stream = session.request({':method': method, ':path': path, ...authority, ...others},
                                 {endStream: true});
  let head;
  stream.on('response', (headers, flags, raw) => {
    head = [headers[':status'], pairs(raw).filter(([name]) => name !== ':status')];
  });
  collected(stream, (content) => resolve([...head, content]));
  stream.on('error', (error) => reject(Error(`${method} ${path} ${lines}: ${error}`)));
});
(async () => {
  const first = [];
  for (const one of requests) first.push(await old(one));
  const second = await Promise.all(requests.map(made));
  session.close();
  agent.destroy();
  console.log(JSON.stringify([first, second]));
})();
"""


def table(etag, modified):
    """Method, target and fields of each request."""
    for target in (*TARGETS, *map(target_of, ODD_NAMES), *(f"/texts/{text[0]}" for text in TEXTS)):
        yield "GET", target, ()
    for target in ("/", "/hello.txt", "/sub", "/many/", "/many/?format=tar", "/many/?format=json",
                   "/texts/long.txt", "/nothing", "/hello.txt?format=json"):
        for method in ("HEAD", "OPTIONS", "POST", "DELETE", "SEARCH", "get"):
            yield method, target, ()
    yield "OPTIONS", "*", ()
    for coding in CODINGS:
        for target in ("/many/", "/hello.txt", "/texts/utf8.txt", "/compressed/app.js",
                       "/compressed/game.wasm", "/many/?format=json", "/sub/?format=tar", "/nothing"):
            yield "GET", target, (f"Accept-Encoding: {coding}",)
    for value in RANGES:
        for method in ("GET", "HEAD"):
            yield method, "/hello.txt", (f"Range: {value}",)
    yield "GET", "/texts/long.txt", ("Range: bytes=65530-9000000",)
    yield "GET", "/many/?format=tar", ("Range: bytes=0-9",)
    for condition in (f"If-None-Match: {etag}", "If-None-Match: *", 'If-None-Match: "other"',
                      f"If-None-Match: W/{etag}", f"If-Match: {etag}", 'If-Match: "other"',
                      "If-Match: *", "If-None-Match: other", f"If-Modified-Since: {modified}",
                      f"If-Unmodified-Since: {modified}", "If-Modified-Since: yesterday",
                      "If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT"):
        for method in ("GET", "HEAD"):
            yield method, "/hello.txt", (condition,)
    for value in (etag, '"other"', modified, "Thu, 01 Jan 1970 00:00:00 GMT"):
        yield "GET", "/hello.txt", ("Range: bytes=6-", f"If-Range: {value}")
    for field in ("Accept: application/json", "Accept: text/plain", "Origin: https://example.org",
                  "Cookie: a=b", "Expect: 100-continue", "Expect: 200-ok", "Content-Length: 0",
                  "X-Large: " + "x" * 60_000, "Sec-Fetch-Dest: image"):
        for target in ("/many/", "/hello.txt", "/nothing"):
            yield "GET", target, (field,)
    for host in ("localhost", "example.org:80", "[::1]:8000"):
        yield "GET", "/sub", (f"Host: {host}",)
        yield "GET", "/many/", (f"Host: {host}",)


def run(setup):
    checks, cases, url = setup.checks, setup.cases, setup.server.url
    found = head(f"{url}/hello.txt")
    requests = list(table(found.etag, found.last_modified))
    authority = Authority(cases.parent / "authority-of-wires")
    words = ("http", cases.root, "--listing", "--listen", "127.0.0.1:0", *authority.flags())
    with checks.check(f"curl: {len(requests)} responses over TLS are the same in HTTP/1.1 and HTTP/2"), \
            checks.start(*words) as server:
        compare(requests, *(by_curl(wire, server.url, authority.certificate, requests,
                                    cases.parent / f"by-curl-{wire}") for wire in WIRES))
    if clients.has("node"):
        # In HTTP/1.1, node sends no method that it doesn't know.
        requests = [one for one in requests if one[0] not in ("get", "SEARCH")]
        with checks.check(f"node: {len(requests)} responses are the same in HTTP/1.1 and HTTP/2"):
            path = cases.parent / "requests.json"
            path.write_text(json.dumps(requests))
            out = clients.run("node", "-e", NODE, url, path)
            compare(requests, *([summary(*one) for one in wire] for wire in json.loads(out)))


def by_curl(wire, url, trusted, requests, directory):
    """The response to each request, as `summary` returns it. They are made one after the other by one
    process, so that they share connections."""
    directory.mkdir()
    sections = []
    for number, (method, target, fields) in enumerate(requests):
        lines = [f"url = {url}", f"cacert = {trusted}", wire, "silent", "show-error", f"max-time = {clients.TIMEOUT}",
                 f"request-target = {quoted(target)}", f"output = {directory / str(number)}", "include",
                 "head" if method == "HEAD" else f"request = {method}"]
        # Without a value, curl sends a field if a semicolon follows its name.
        lines += ["header = " + quoted(f"{field[:-2]};" if field.endswith(": ") else field)
                  for field in fields]
        sections.append("\n".join(lines))
    config = directory / "config"
    config.write_text("\nnext\n".join(sections))
    clients.run("curl", "--config", config)
    version = {"http1.1": "HTTP/1.1", "http2": "HTTP/2"}[wire]
    return [read_response(directory / str(number), version) for number in range(len(requests))]


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def read_response(path, version):
    top, _, content = path.read_bytes().partition(b"\r\n\r\n")
    while top.split()[1].startswith(b"1"):
        top, _, content = content.partition(b"\r\n\r\n")
    first, *lines = top.decode("latin-1").split("\r\n")
    expect(first.split()[0], version)
    return summary(int(first.split()[1]), [line.split(":", 1) for line in lines], sha(content))


def summary(status, fields, content):
    """The fields of a connection, and what has to be the same over all versions."""
    names = {name.lower() for name, _ in fields}
    of_connection = sorted(names.intersection(OF_CONNECTIONS))
    # The time may change between two requests.
    kept = sorted((name.lower(), "" if name.lower() == "date" else value.strip())
                  for name, value in fields if name.lower() not in OF_CONNECTIONS)
    return of_connection, Summary(status, kept, content)


def compare(requests, old, new):
    """Compares the responses over both versions."""
    differences = []
    for (method, target, fields), (_, one), (connection, two) in zip(requests, old, new, strict=True):
        what = f"{method} {target} {' '.join(fields):.60}".strip()
        if connection:
            differences.append(f"{what}: has {connection}")
        if one != two:
            fields = sorted(set(one.fields).symmetric_difference(two.fields))
            differences.append(f"{what}: {one.status} and {two.status}, different fields {fields}")
    statuses = {one.status for _, one in old}
    expect(statuses >= {200, 206, 301, 304, 400, 404, 405, 412, 416}, True, f"{sorted(statuses)}:")
    assert not differences, "\n      ".join([f"{len(differences)} differ", *differences[:20]])
