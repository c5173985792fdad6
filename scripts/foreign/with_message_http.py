"""Tests messages over HTTP with curl, urllib and http.client, on a port that also accepts frames."""

import http.client
import json
import socket
import subprocess
import urllib.error
import urllib.request

from frames import as_json, frame
from running import TIMEOUT, expect
from with_message import MIB, RABBIT, the_frame

SEARCH = as_json({"action": "search", "value": "morpheus"})
FOUND = as_json({"result": RABBIT})
BINARY = "binary/custom-server-binary-type"


def run(checks, _folder):
    with checks.check("message over HTTP: the server starts"), \
            checks.start("message", "--listen", "127.0.0.1:0") as server:
        url = "http://{}:{}/".format(*server.address)
        with_curl(checks, url)
        with_urllib(checks, url)
        persistent(checks, server)
        both_protocols(checks, server)
    with checks.check("message over HTTP: --frames-only"), \
            checks.start("message", "--listen", "127.0.0.1:0", "--frames-only") as server:
        _, content = the_frame(exchange(server, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
        expect(json.loads(content)["error"]["code"], "bad_header")
    with checks.check("message over HTTP: who is too slow is answered with an error"), checks.start(
            "message", "--listen", "127.0.0.1:0",
            "--header-timeout", "200ms", "--content-timeout", "200ms") as server:
        head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/json\r\nContent-Length: 9\r\n\r\n"
        for sent in (head[:20], head + b"{"):
            received = exchange(server, sent)
            assert received.startswith(b"HTTP/1.1 408 "), received
            expect(json.loads(received.partition(b"\r\n\r\n")[2])["error"]["code"], "timeout")


def exchange(server, sent):
    """Sends bytes, and returns all bytes until the end of input."""
    with server.connect() as connection:
        connection.sendall(sent)
        received = b""
        while part := connection.recv(1 << 16):
            received += part
        return received


def curl(*words, **more):
    """The output of curl, the status and the type."""
    command = ["curl", "--silent", "--show-error", "--max-time", str(TIMEOUT), *words,
               "--write-out", "\n%{http_code} %{content_type}"]
    out = subprocess.run(command, capture_output=True, check=True, **more).stdout
    content, _, said = out.rpartition(b"\n")
    code, _, kind = said.decode().partition(" ")
    return content, int(code), kind


def with_curl(checks, url):
    request = '{"action":"search","value":"ring"}'
    ring = as_json({"result": "In the caves beneath the Misty Mountains. \N{RING}"})
    for name, words, wanted in [
        ("text/json", ["-d", request, "-H", "content-type: text/json"],
         (ring, 200, "text/json; charset=utf-8")),
        ("application/json", ["-d", request, "-H", "content-type: application/json"],
         (ring, 200, "application/json")),
        ("in chunks", ["-d", request, "-H", "content-type: text/json",
                       "-H", "transfer-encoding: chunked"],
         (ring, 200, "text/json; charset=utf-8")),
        ("HTTP/1.0", ["--http1.0", "-d", request, "-H", "content-type: text/json"],
         (ring, 200, "text/json; charset=utf-8")),
        ("Expect: 100-continue", ["-d", request, "-H", "content-type: text/json",
                                  "-H", "expect: 100-continue"],
         (ring, 200, "text/json; charset=utf-8")),
        ("text/plain", ["-d", "plain words", "-H", "content-type: text/plain"],
         (b"First 10 bytes of request: plain word", 200, BINARY)),
    ]:
        with checks.check(f"curl: a message, {name}"):
            expect(curl(*words, url), wanted)
    with checks.check("curl: curl's default content type is refused, and the error says what to add"):
        content, code, kind = curl("-d", request, url)
        expect((code, kind), (415, "application/json"))
        assert "-H 'content-type: application/json'" in json.loads(content)["result"], content
    for words, wanted in [
        (["-F", "a=b"], (415, "unsupported_type")),
        (["-X", "PUT", "-d", request], (405, "method_not_allowed")),
        (["-d", "{", "-H", "content-type: text/json"], (400, "bad_content")),
        (["-d", request, "-H", "content-type: text/json; charset=klingon"],
         (415, "unsupported_encoding")),
        (["--compressed", "-d", request, "-H", "content-type: text/json",
          "-H", "content-encoding: gzip"], (415, "unsupported_encoding")),
    ]:
        with checks.check(f"curl: {' '.join(words)} is {wanted[1]}"):
            content, code, _ = curl(*words, url)
            expect((code, json.loads(content)["error"]["code"]), wanted)
    with checks.check("curl: GET / describes the service, other paths are not found"):
        content, code, kind = curl(url)
        expect((code, kind), (200, "text/plain; charset=utf-8"))
        assert content.startswith(b"This port answers messages"), content
        expect(curl(url + "favicon.ico")[1], 404)
        expect(curl("--head", url)[1], 200)
        expect(curl("-X", "OPTIONS", url)[1], 204)
    with checks.check("curl: 16 MiB are accepted, one byte more is refused"):
        sent = bytes(range(256)) * (16 * MIB // 256)
        words = ["--data-binary", "@-", "-H", "content-type: a/b"]
        expect(curl(*words, url, input=sent),
               (b"First 10 bytes of request: " + bytes(range(10)), 200, BINARY))
        content, code, _ = curl(*words, url, input=sent + b"x")
        expect((code, json.loads(content)["error"]["code"]), (413, "too_large"))
    with checks.check("curl: TLS is distinguished from frames, and fails at once"):
        done = subprocess.run(
            ["curl", "--silent", "--max-time", str(TIMEOUT), url.replace("http:", "https:")],
            capture_output=True, check=False)
        expect(done.returncode, 35, done.stderr)


def post(url, content, kind):
    request = urllib.request.Request(url, data=content, headers={"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            return response.status, response.headers.get("Content-Type"), response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers.get("Content-Type"), error.read()


def with_urllib(checks, url):
    text = SEARCH.decode()
    for name, content, kind, response in [
        ("JSON", SEARCH, "application/json", "application/json"),
        ("UTF-16", text.encode("utf-16"), "text/json; charset=utf-16", "text/json; charset=utf-8"),
        ("Latin-1", text.encode("latin-1"), 'text/json; charset="ISO-8859-1"',
         "text/json; charset=utf-8"),
    ]:
        with checks.check(f"urllib: a message in {name}"):
            expect(post(url, content, kind), (200, response, FOUND))
    with checks.check("urllib: bytes"):
        expect(post(url, b"\x00\xff" * 8, "a/b"),
               (200, BINARY, b"First 10 bytes of request: " + b"\x00\xff" * 5))
    with checks.check("urllib: an error is JSON with a code"):
        code, kind, content = post(url, b"[]", "application/json")
        expect((code, kind, json.loads(content)["error"]["code"]),
               (400, "application/json", "bad_request"))
    with checks.check("urllib: urllib's default content type is refused"):
        expect(post(url, SEARCH, "application/x-www-form-urlencoded")[0], 415)


def persistent(checks, server):
    with checks.check("http.client: many messages on one connection"):
        connection = http.client.HTTPConnection(*server.address, timeout=TIMEOUT)
        for number in range(50):
            request = as_json({"action": "search", "value": str(number)})
            connection.request("POST", "/", request, {"Content-Type": "text/json"})
            response = connection.getresponse()
            expect((response.status, json.loads(response.read())),
                   (200, {"result": f"No match for '{number}'."}))
            connection.request("POST", "/", iter([request[:9], request[9:]]),
                               {"Content-Type": "text/json"}, encode_chunked=True)
            expect(json.loads(connection.getresponse().read()),
                   {"result": f"No match for '{number}'."})
        connection.close()


def both_protocols(checks, server):
    """One port accepts both protocols, however the first bytes are split."""
    head = f"POST / HTTP/1.0\r\nContent-Type: text/json\r\nContent-Length: {len(SEARCH)}\r\n\r\n"
    for name, sent in (("a frame", frame(SEARCH)), ("a request", head.encode() + SEARCH)):
        with checks.check(f"message over HTTP: {name} on the same port, byte by byte"):
            with server.connect() as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for byte in sent:
                    connection.sendall(bytes([byte]))
                received = b""
                while part := connection.recv(1 << 16):
                    received += part
            assert received.endswith(FOUND), received
            expect(received.startswith(b"HTTP/1.1 200 "), name == "a request")
