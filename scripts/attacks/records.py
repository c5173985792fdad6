"""Floods of small, empty and wrong records on TLS connections after their handshake."""

import socket
import subprocess

from handshakes import DEADLINE, HALF_OPEN_MIB, LATE, in_threads, record, serving
from peers import connect
from program import TIMEOUT
from tls13 import ALERT, APPLICATION_DATA, HANDSHAKE, Client, hello

CONNECTIONS = 8
FLOOD = 10_000  # records of a flood
CPU = 4  # maximum seconds of CPU time of the server for each attack
REQUEST = b"GET /small.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
# A handshake message that says it has 16 MiB.
ENDLESS_MESSAGE = b"\x04\xff\xff\xff"
# Where `serving` has its authority.
AUTHORITY = "authority/authority.pem"
USER_CANCELED = b"\x01\x5a"


def run(trials):
    floods(trials)
    wrong(trials)
    renegotiation(trials)


def floods(trials):
    """What a client may send again and again, as long as that costs the server little."""
    for name, make in {
        "empty records": lambda client, _: client.record(APPLICATION_DATA),
        "KeyUpdate, to be answered": lambda client, _: client.key_update(True),
        "KeyUpdate, not to be answered": lambda client, _: client.key_update(False),
        "warnings": lambda client, _: client.record(ALERT, USER_CANCELED),
        "records of one byte": lambda client, at: client.record(
            APPLICATION_DATA, b"GET /"[at:at + 1] or b"a"),
    }.items():
        with trials.checked(f"records: {CONNECTIONS} × {FLOOD} {name}") as row, \
                serving(trials, row) as (server, _, _):
            flood(row, server, trials.directory / AUTHORITY, make)
        row.expect(row.seconds <= CPU, f"{row.seconds} CPU seconds; the limit is {CPU}")


def flood(row, server, authority, make):
    clients, sent = [], []
    for _ in range(CONNECTIONS):
        clients.append(Client(authority, connect(server.address)))
        sent.append(b"".join(make(clients[-1], at) for at in range(FLOOD)))
    before, written = server.usage.resident(), [0] * CONNECTIONS

    def send(at):
        clients[at].socket.settimeout(LATE)
        try:
            while written[at] < len(sent[at]):
                written[at] += clients[at].socket.send(sent[at][written[at]:])
        except OSError:
            pass  # closed, or not read from: both protect the server

    in_threads(range(CONNECTIONS), send)
    server.usage.wait_until_quiet(LATE)
    grown = server.usage.peak() - before
    row.expect(grown < HALF_OPEN_MIB, f"{grown:.1f} MiB more")
    for client in clients:
        client.close()


def wrong(trials):
    """What no client may send: the connection ends."""
    attacks = {
        "garbage": lambda client, _: bytes(range(256)) * 64,
        "a forged record": lambda client, _: b"\x17\x03\x03\x00\x20" + bytes(32),
        "a record of 64 KB": lambda client, _: b"\x17\x03\x03\xff\xff" + bytes(65535),
        "another hello": lambda client, tls: hello(tls),
        "another hello, encrypted": lambda client, tls: client.record(HANDSHAKE, hello(tls)[5:]),
        "a fatal alert": lambda client, _: client.record(ALERT, b"\x02\x50"),
        "an endless message": lambda client, _: client.record(
            HANDSHAKE, ENDLESS_MESSAGE) + b"".join(
                client.record(HANDSHAKE, bytes(16000)) for _ in range(64)),
        "a record of an unknown kind": lambda client, _: client.record(99, b"x"),
        "plaintext": lambda client, _: record(REQUEST, b"\x17\x03\x03"),
        "an empty handshake record": lambda client, _: client.record(HANDSHAKE),
    }
    with trials.checked("records: wrong ones end the connection") as row, \
            serving(trials, row) as (server, tls, _):
        authority = trials.directory / AUTHORITY
        for name, make in attacks.items():
            client = Client(authority, connect(server.address))
            client.socket.settimeout(DEADLINE)
            try:
                # If it were taken, there would be a response.
                client.socket.sendall(make(client, tls) + client.record(APPLICATION_DATA, REQUEST))
                # The tickets of the handshake, and an alert.
                received = b"".join(iter(lambda: client.socket.recv(1 << 16), b""))
                row.expect(len(received) < 1000, f"{name} is answered: {len(received)} bytes")
            except (ConnectionResetError, BrokenPipeError):
                pass
            except socket.timeout:
                row.problems.append(f"{name} does not end the connection")
            client.close()


def renegotiation(trials):
    """A client of TLS 1.2 asks for another handshake on its connection."""
    with trials.checked("records: renegotiation with TLS 1.2") as row, \
            serving(trials, row) as (server, _, _):
        authority = trials.directory / AUTHORITY
        with subprocess.Popen(
                ["openssl", "s_client", "-connect", "{}:{}".format(*server.address), "-tls1_2",
                 "-CAfile", authority, "-servername", "localhost"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
            # A line that begins with R is a command to `s_client`.
            client.stdin.write(b"R\n")
            client.stdin.flush()
            out = client.communicate(timeout=TIMEOUT)[0].decode()
        row.expect("RENEGOTIATING" in out, f"openssl has not tried it: {out[-300:]}")
        row.expect("no renegotiation" in out or "error" in out, f"accepted: {out[-300:]}")
