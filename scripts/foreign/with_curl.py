"""Tests `sockeye http` with curl."""

import hashlib
import subprocess

from running import SECRET, TIMEOUT, expect

ESCAPES = [
    "/../secret.txt",
    "/sub/../../secret.txt",
    "/%2e%2e/secret.txt",
    "/%2E%2E%2Fsecret.txt",
    "/..%2fsecret.txt",
    "/sub/..%2f..%2fsecret.txt",
    "/.%2e/secret.txt",
    "/%252e%252e/secret.txt",
    "/..%5csecret.txt",
    "/..\\secret.txt",
    "//../secret.txt",
    "/./../secret.txt",
    "/way-out.txt",
    "/way-up/secret.txt",
    "/secret.txt%00.html",
    "/hello.txt%00/../../secret.txt",
    "/.hidden",
    "/%2ehidden",
    "/sub/../.hidden",
    "//etc/passwd",
    "/../../../../../../../../etc/passwd",
]


def curl(*words):
    command = ["curl", "--silent", "--show-error", "--max-time", str(TIMEOUT), *words]
    return subprocess.run(command, capture_output=True, check=True).stdout


def head_of(*words):
    """The status and the fields of a HEAD, with names in lower case."""
    return parse_head(curl("--head", *words).decode())


def head_of_get(*words):
    """The status and the fields of a GET, with names in lower case."""
    return parse_head(curl("--dump-header", "-", "--output", "/dev/null", *words).decode())


def parse_head(text):
    status, *lines = text.strip().split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (l.partition(":") for l in lines)}
    return int(status.split()[1]), fields


def status(*words):
    return int(curl("--output", "/dev/null", "--write-out", "%{http_code}", *words))


def run(checks, folder):
    with checks.check("curl: the folder is served"), \
            checks.start("http", folder.root, "--listen", "127.0.0.1:0") as server:
        expect(curl(server.url + "/"), (folder.root / "index.html").read_bytes())
        reading(checks, server.url)
        conditions(checks, server.url)
        refusals(checks, server.url)
        with checks.check("curl: a large file arrives completely"):
            wanted = hashlib.sha256(folder.big).hexdigest()
            expect(hashlib.sha256(curl(server.url + "/big.bin")).hexdigest(), wanted)
        for path in ESCAPES:
            with checks.check(f"curl: {path} does not escape from the folder"):
                out = curl("--path-as-is", "--write-out", "\n%{http_code}", server.url + path)
                body, _, code = out.rpartition(b"\n")
                assert SECRET not in body and b"root:" not in body, "the secret was sent"
                assert code in (b"400", b"403", b"404"), f"status {code.decode()}"
    unix(checks, folder)


def reading(checks, url):
    with checks.check("curl: HEAD has the headers of GET"):
        code, fields = head_of(url + "/hello.txt")
        expect((code, fields["content-length"]), (200, "12"))
        expect(fields["content-type"].replace(" ", "").lower(), "text/plain;charset=utf-8")
        for name in ("date", "last-modified", "etag"):
            assert fields.get(name), f"no {name}"
    with checks.check("curl: encoded names and query strings"):
        expect(curl(url + "/with%20space.txt"), b"spaced\n")
        expect(curl(url + "/hello.txt?v=1"), b"Hello World\n")
    with checks.check("curl: .well-known is not hidden"):
        expect(curl(url + "/.well-known/note.txt"), b"known\n")
    with checks.check("curl: a folder without its slash is redirected"):
        code, fields = head_of(url + "/sub")
        assert code in (301, 308), f"status {code}"
        assert fields["location"].endswith("/sub/"), fields["location"]
        assert b"sub" in curl("--location", url + "/sub")
    with checks.check("curl: one connection for two requests"):
        out = curl("--write-out", "%{num_connects} ", url + "/hello.txt", url + "/hello.txt")
        expect(out.replace(b"Hello World\n", b"").split(), [b"1", b"0"])
    with checks.check("curl: HTTP/1.0"):
        expect(curl("--http1.0", url + "/hello.txt"), b"Hello World\n")


def conditions(checks, url):
    with checks.check("curl: an unchanged file is 304"):
        _, fields = head_of(url + "/hello.txt")
        for field in (f"If-None-Match: {fields['etag']}", "If-None-Match: *",
                      f"If-Modified-Since: {fields['last-modified']}"):
            expect(status("--header", field, url + "/hello.txt"), 304, field)
    with checks.check("curl: a changed file is sent"):
        for field in ('If-None-Match: "other"', "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT",
                      "If-Modified-Since: yesterday"):
            expect(status("--header", field, url + "/hello.txt"), 200, field)


def refusals(checks, url):
    with checks.check("curl: 404"):
        expect(status(url + "/nothing"), 404)
    for method in ("DELETE", "PUT", "PATCH"):
        with checks.check(f"curl: {method} is 405, and Allow names the allowed methods"):
            code, fields = head_of("--request", method, url + "/hello.txt")
            expect(code, 405)
            expect({word.strip() for word in fields["allow"].split(",")} >= {"GET", "HEAD"}, True)
    with checks.check("curl: a request with a body is answered"):
        expect(status("--data", "a=b", url + "/hello.txt"), 405)
    with checks.check("curl: 414 and 431"):
        expect(status(f"{url}/{'a' * 20_000}"), 414)
        expect(status("--header", f"X: {'a' * 60_000}", url + "/"), 431)


def unix(checks, folder):
    with checks.check("curl: a Unix socket"):
        path = folder.parent / "http.sock"
        with checks.start("http", folder.root, "--listen", f"unix:{path}"):
            out = curl("--unix-socket", str(path), "http://localhost/hello.txt")
            expect(out, b"Hello World\n")
