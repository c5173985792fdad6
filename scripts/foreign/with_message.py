"""Tests `sockeye message` with the Python client and raw sockets, and `sockeye send` with the Python
server."""

import json
import socket

from frames import as_json, frame, raw, take
from running import expect, receive_all
from with_echo import TOUR, PythonServer, python

MESSAGES = TOUR / "08_json_header"
RABBIT = "Follow the white rabbit. \N{RABBIT FACE}"
SEARCHES = [  # an action, a value, and what Python's client prints of the response
    ("search", "morpheus", RABBIT),
    ("search", "ring", "In the caves beneath the Misty Mountains. \N{RING}"),
    ("search", "\N{DOG FACE}", "\N{PAW PRINTS} Playing ball! \N{VOLLEYBALL}"),
    ("search", "nothing", "No match for 'nothing'."),
    ("search", "", "No match for ''."),
    ("search", 'a"b\\c', "No match for 'a\"b\\c'."),
    ("binary", "hello world", "b'First 10 bytes of request: binaryhell'"),
    ("x", "", "b'First 10 bytes of request: x'"),
    ("", "", "b'First 10 bytes of request: '"),
]
SEARCH = as_json({"action": "search", "value": "morpheus"})
MIB = 1 << 20


def run(checks, _folder):
    with checks.check("message: the server starts"), \
            checks.start("message", "--listen", "127.0.0.1:0") as server:
        for action, value, wanted in SEARCHES:
            with checks.check(f"message: Python's client asks {action!r} {value!r}"):
                out = python(MESSAGES / "client.py", *server.address, action, value)
                expect(out, wanted + "\n")
        one_response(checks, server)
        faults(checks, server)
        keep_alive(checks, server)
        large(checks, server)
        sending_to_ours(checks, server)
    slow(checks)
    with checks.check("message: Python's server starts"), \
            PythonServer(MESSAGES / "server.py") as server:
        sending(checks, f"message://127.0.0.1:{server.port}")


def talk(server, sent, end=False, drip=False):
    """Sends bytes, closes the sending side if `end`, and returns all bytes until the end of input.

    After an error, the server may close the connection while this still sends."""
    with server.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for part in ([bytes([byte]) for byte in sent] if drip else [sent]):
                connection.sendall(part)
            if end:
                connection.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return receive_all(connection)


def frames_of(received):
    found = []
    while received:
        taken = take(received)
        assert taken, f"part of a frame: {received!r:.200}"
        header, content, received = taken
        found.append((header, content))
    return found


def the_frame(received):
    found = frames_of(received)
    expect(len(found), 1, "frames:")
    return found[0]


def result(text):
    return as_json({"result": text})


def one_response(checks, server):
    """A client that doesn't ask for keep-alive gets one response, and the connection ends."""
    binary = "binary/custom-server-binary-type"
    for name, sent, wanted in [
        ("a search", frame(SEARCH), frame(result(RABBIT))),
        ("an unknown action", frame(as_json({"action": "dance"})),
         frame(result("Error: invalid action 'dance'."))),
        ("no action", frame(as_json({"value": 1})), frame(result("Error: invalid action 'None'."))),
        ("bytes", frame(b"\x00\xff" * 8, "a/b", "binary"),
         frame(b"First 10 bytes of request: " + b"\x00\xff" * 5, binary, "binary")),
        ("no bytes at all", frame(b"", "a/b", "binary"),
         frame(b"First 10 bytes of request: ", binary, "binary")),
        ("unknown keys", frame(SEARCH, id=7, accept="*/*", status=None),
         frame(result(RABBIT))),
        ("UTF-16", frame(SEARCH.decode().encode("utf-16"), encoding="utf-16"), None),
        ("Latin-1", frame(SEARCH, encoding="latin-1"), None),
        ("a header in another order", raw(json.dumps({
            "content-length": len(SEARCH), "byteorder": "big", "content-encoding": "utf-8",
            "content-type": "text/json"}, indent=1).encode(), SEARCH), frame(result(RABBIT))),
        ("two requests at once", frame(SEARCH) * 2, frame(result(RABBIT))),
    ]:
        for how in ("at once", "byte by byte"):
            with checks.check(f"message: {name}, {how}"):
                received = talk(server, sent, drip=how != "at once")
                if wanted is None:
                    header, content = the_frame(received)
                    expect(json.loads(content.decode(header["content-encoding"])),
                           {"result": RABBIT})
                else:
                    expect(received, wanted)
    for content in (b"{}", b"null", b"0", b"[]", b'""', b"false"):
        with checks.check(f"message: the content {content.decode()} is answered"):
            header, content = the_frame(talk(server, frame(content)))
            expect(header["content-type"], "text/json")
            assert json.loads(content)["result"].startswith("Error: "), content


def header_with(length):
    """A valid header, except for its length."""
    return b'{"byteorder": "little", "content-type": "text/json", ' \
           b'"content-encoding": "utf-8", "content-length": ' + length + b"}"


def faults(checks, server):
    """Every error is answered as soon as the received bytes show it, and then the connection ends."""
    good = header_with(b"2")
    for name, sent, end, code in [
        ("an empty header", b"\0\0", False, "bad_header"),
        ("a header that is not JSON", raw(b"{nonsense}"), False, "bad_header"),
        ("a header that is not an object", raw(b"[1, 2]"), False, "bad_header"),
        ("a header that is not UTF-8", raw(b'{"\xff": 1}'), False, "bad_header"),
        ("a missing length", raw(b'{"byteorder": "little", "content-type": "text/json", '
                                 b'"content-encoding": "utf-8"}'), False, "bad_header"),
        ("a missing byte order", raw(good.replace(b"byteorder", b"bytedisorder"), b"{}"), False,
         "bad_header"),
        *[(f"the length {length.decode()}", raw(header_with(length)), False, "bad_header")
          for length in (b"-1", b"1.5", b"true", b'"2"', b"null", b"1e3")],
        ("too much content", raw(header_with(b"16777217")), False, "too_large"),
        ("far too much content", raw(header_with(b"9" * 40)), False, "too_large"),
        ("an unknown encoding", frame(SEARCH, encoding="klingon"), False, "unsupported_encoding"),
        ("content that is not JSON", frame(b"{nonsense}"), False, "bad_content"),
        ("content that is not UTF-8", frame(b'"\xff"'), False, "bad_content"),
        ("half a header", raw(good)[:9], True, "incomplete"),
        ("half of the content", raw(good, b"{"), True, "incomplete"),
    ]:
        for how in ("at once", "byte by byte"):
            with checks.check(f"message: {name} is {code}, {how}"):
                header, content = the_frame(talk(server, sent, end, how != "at once"))
                expect((header["content-type"], header["content-encoding"]), ("text/json", "utf-8"))
                response = json.loads(content)
                expect(response["error"]["code"], code)
                assert response["result"].startswith("Error: "), response
    with checks.check("message: an HTTP request is answered"):
        received = talk(server, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", True)
        assert received.startswith(b"HTTP/1.1 200 "), received
    with checks.check("message: an error is received though a megabyte follows the wrong bytes"):
        _, content = the_frame(talk(server, b"\0\0" + bytes(MIB - 2)))
        expect(json.loads(content)["error"]["code"], "bad_header")
    with checks.check("message: a connection without a request gets no response"):
        expect(talk(server, b"", end=True), b"")


def keep_alive(checks, server):
    with checks.check("message: many requests on one connection, each answered with its id"):
        sent = b"".join(
            frame(as_json({"action": "search", "value": str(number)}), id=number,
                  connection="keep-alive") for number in range(100))
        found = frames_of(talk(server, sent, end=True))
        expect({header["id"]: json.loads(content)["result"] for header, content in found},
               {number: f"No match for '{number}'." for number in range(100)})
        expect(len(found), 100, "responses:")
    with checks.check("message: two requests with strings as ids, one after the other"):
        with server.connect() as connection:
            for name in ("a", "\N{DOG FACE}"):
                connection.sendall(frame(SEARCH, id=name, connection="keep-alive"))
                received = b""
                while not (response := take(received)):
                    part = connection.recv(4096)
                    assert part, "the server closed"
                    received += part
                expect((response[0]["id"], response[1], response[2]), (name, result(RABBIT), b""))


def large(checks, server):
    with checks.check("message: 16 MiB of content"):
        sent = frame(bytes(range(256)) * (16 << 12), "a/b", "binary")
        _, content = the_frame(talk(server, sent))
        expect(content, b"First 10 bytes of request: " + bytes(range(10)))


def slow(checks):
    with checks.check("message: who is too slow is answered with an error"), checks.start(
            "message", "--listen", "127.0.0.1:0",
            "--header-timeout", "200ms", "--content-timeout", "200ms") as server:
        for sent in (b"\0", frame(SEARCH)[:20], frame(SEARCH)[:-1]):
            _, content = the_frame(talk(server, sent))
            expect(json.loads(content)["error"]["code"], "timeout")


def sending_to_ours(checks, server):
    with checks.check("send: messages to our own service"):
        done = checks.run("send", server.url, SEARCH.decode(), "plain words")
        expect(done.returncode, 0, done.stderr)
        assert RABBIT in done.stdout, done.stdout
        assert "First 10 bytes of request: plain word" in done.stdout, done.stdout
    with checks.check("send: many messages on each of three kept connections"):
        done = checks.run("send", server.url, SEARCH.decode(), "--keep-alive", "--count", 50,
                          "--connections", 3)
        expect(done.returncode, 0, done.stderr)
        expect(done.stdout.count(RABBIT), 150)


def sending(checks, target):
    """Our client with the Python server, which doesn't know our extensions."""
    for action, value, _ in SEARCHES[:6]:
        with checks.check(f"send: {action} {value!r} to Python's message server"):
            request = as_json({"action": action, "value": value}).decode()
            done = checks.run("send", target, request)
            expect(done.returncode, 0, done.stderr)
            wanted = next(text for a, v, text in SEARCHES if (a, v) == (action, value))
            expect(json.loads(done.stdout), {"result": wanted})
    with checks.check("send: bytes to Python's message server"):
        done = checks.run("send", target, "plain words")
        expect(done.returncode, 0, done.stderr)
        assert "First 10 bytes of request: plain word" in done.stdout, done.stdout
    with checks.check("send: an unknown action is an error, and is shown"):
        done = checks.run("send", target, '{"action": "dance"}')
        expect(done.returncode, 1)
        assert "invalid action 'dance'" in done.stdout + done.stderr, done.stderr
    with checks.check("send: --keep-alive and --count with a server that doesn't support keep-alive"):
        done = checks.run("send", target, SEARCH.decode(), "--keep-alive", "--count", 5,
                          "--connections", 2)
        expect(done.returncode, 0, done.stderr)
        expect(done.stdout.count(RABBIT), 10)
    with checks.check("send: a server that closes without a response is an error"):
        done = checks.run("send", target, "{nonsense", "--type", "text/json")
        assert done.returncode == 1 and done.stderr.strip(), (done.returncode, done.stderr)
    with checks.check("send: a server that does not respond is an error"):
        done = checks.run("send", target, "{}", "--timeout", "300ms")
        assert done.returncode == 1 and done.stderr.strip(), (done.returncode, done.stderr)
