"""Tests `sockeye http` over raw sockets, with requests that well-behaved clients don't send."""

import re
import socket
import struct

from running import expect, receive_all

HELLO = b"Hello World\n"


def request(path, *fields, method="GET", version="HTTP/1.1"):
    lines = [f"{method} {path} {version}", "Host: localhost", *fields, "", ""]
    return "\r\n".join(lines).encode()


def talk(server, sent):
    """Sends bytes, closes the sending side, and returns all bytes until the end of input."""
    with server.connect() as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        return receive_all(connection)


def statuses(received):
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]


def run(checks, folder):
    with checks.check("sockets: the folder is served"), \
            checks.start("http", folder.root, "--listen", "127.0.0.1:0") as server:
        ordering(checks, server)
        disruptive_clients(checks, server, folder)
        grammar(checks, server)


def ordering(checks, server):
    with checks.check("sockets: pipelined responses are in order"):
        sent = request("/hello.txt") + request("/hello.txt", method="HEAD") + request("/nothing")
        received = talk(server, sent * 20)
        expect(statuses(received), [200, 200, 404] * 20)
        expect(received.count(HELLO), 20)
    with checks.check("sockets: a request byte by byte"):
        with server.connect() as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in request("/hello.txt", "Connection: close"):
                connection.sendall(bytes([byte]))
            received = receive_all(connection)
        expect(statuses(received), [200])
        assert received.endswith(HELLO), received
    with checks.check("sockets: Connection: close closes the connection"):
        with server.connect() as connection:
            connection.sendall(request("/hello.txt", "Connection: close"))
            assert receive_all(connection).endswith(HELLO)
    with checks.check("sockets: HTTP/1.0 closes the connection by default"):
        with server.connect() as connection:
            connection.sendall(request("/hello.txt", version="HTTP/1.0"))
            assert receive_all(connection).endswith(HELLO)


def disruptive_clients(checks, server, folder):
    with checks.check("sockets: after a half-close, a large response arrives completely"):
        received = talk(server, request("/big.bin"))
        head, _, body = received.partition(b"\r\n\r\n")
        expect(statuses(head), [200])
        assert body == folder.big, f"{len(body)} bytes that are not the file"
    with checks.check("sockets: clients that reset, don't read or don't finish affect no other client"):
        incomplete, not_reading = server.connect(), server.connect()
        incomplete.sendall(b"GET / HT")
        not_reading.sendall(request("/big.bin"))
        for _ in range(20):
            resetting = server.connect()
            resetting.sendall(request("/big.bin"))
            resetting.recv(1)
            resetting.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            resetting.close()
        expect(statuses(talk(server, request("/hello.txt") * 10)), [200] * 10)
        incomplete.close()
        not_reading.close()


def grammar(checks, server):
    for name, sent, wanted in [
        ("no Host", b"GET / HTTP/1.1\r\n\r\n", 400),
        ("two Hosts", request("/", "Host: other"), 400),
        ("a space before the colon", request("/", "X : y"), 400),
        ("a folded field", request("/", "X: a\r\n b"), 400),
        ("a bare CR", request("/", "X: a\rb"), 400),
        ("NUL in a field", request("/", "X: a\0b"), 400),
        ("two lengths that differ", request("/", "Content-Length: 1", "Content-Length: 2"), 400),
        ("a length and chunks", request(
            "/", "Content-Length: 1", "Transfer-Encoding: chunked"), 400),
        ("a length that is not a number", request("/", "Content-Length: +1"), 400),
        ("a length with a leading zero", request("/", "Content-Length: 00"), 400),
        ("an unknown coding", request("/", "Transfer-Encoding: rot13, chunked"), 501),
        ("an unknown coding alone", request("/", "Transfer-Encoding: rot13"), 400),
        ("two codings in two fields", request(
            "/", "Transfer-Encoding: gzip", "Transfer-Encoding: chunked"), 501),
        ("an unknown method", request("/", method="PROPFIND"), 501),
        ("a method in lower case", request("/", method="get"), 501),
        ("a method that does not end", b"M" * 9000, 501),
        ("a future version", request("/", version="HTTP/3.0"), 505),
        ("a TLS client hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400),
        ("a first byte that no method has", b"{", 400),
        ("a broken escape", request("/%zz"), 400),
    ]:
        with checks.check(f"sockets: {name} is {wanted}"):
            expect(statuses(talk(server, sent))[:1], [wanted])
