"""HTTP/2: clients that begin something and don't go on."""

import http2
from h2_trial import CALM, LATE, Bounds, attack, ends, judge, serving
from handshakes import in_threads
from http2 import (
    ACK, DATA, END_HEADERS, HEADERS, PING, PREFACE, SETTINGS, block, frame, request, rst_stream,
    settings)

TIMEOUT = 2  # seconds, of each kind of timeout
# Seconds until a connection must be closed. After an unread upload, the server discards input for 5.
CLOSED = TIMEOUT + 5 + LATE
CONNECTIONS = 10  # of each kind
FLAGS = [word for name in ("head", "idle", "write")
         for word in (f"--{name}-timeout", f"{TIMEOUT}s")]
# Without GOAWAY, the connection wasn't HTTP/2 yet.
ENDS = ends("NO_ERROR", "SETTINGS_TIMEOUT", "PROTOCOL_ERROR") | CALM | {"closed", "reset"}


def run(trials):
    begun = PREFACE + settings()
    acknowledged = begun + frame(SETTINGS, flags=ACK)
    kinds = {
        "part of a preface": PREFACE[:-2],
        "a preface and nothing": PREFACE,
        "SETTINGS and nothing": begun,
        "half a frame header": acknowledged + frame(PING, bytes(8))[:5],
        "half a PING": acknowledged + frame(PING, bytes(8))[:-1],
        "half a field block": acknowledged + frame(HEADERS, block()[:5], stream=1),
        "half a frame of fields": acknowledged + frame(HEADERS, block(), END_HEADERS, 1)[:-3],
        "a stream that was reset": acknowledged + request(1, ends=False) + rst_stream(1),
        "half an upload": acknowledged + request(1, "/small.txt", "POST", ends=False)
        + frame(DATA, b"half", 0, 1),
        "an answered request, without ACK of SETTINGS": begun + request(1),
    }
    # Never acknowledges SETTINGS.
    attack(trials, "idle", {name: (lambda _, name=name: [kinds[name]], ENDS) for name in kinds},
           Bounds(grown=10, seconds=4), CONNECTIONS, flags=FLAGS, preface=False, acknowledges=False,
           quiet=CLOSED, seconds=CLOSED)
    busy(trials)


def busy(trials):
    """Clients that do something ten times a second, and never begin or complete a request."""
    head = frame(HEADERS, block(fields=[("x", "y" * 300)]), END_HEADERS, 1)
    kinds = {
        "PING": lambda at: frame(PING, bytes(8)),
        "a field block, byte by byte": lambda at: head[at:at + 1],
    }
    with trials.checked("HTTP/2: busy, but idle") as row, \
            serving(trials, row, Bounds(grown=10), *FLAGS) as server:
        clients = {name: [http2.Client(server.address) for _ in range(CONNECTIONS)] for name in kinds}

        def one(work):
            name, client = work
            for at in range(10 * CLOSED):
                client.run([kinds[name](at)], quiet=0.1)
                if client.outcome.is_over():
                    break

        row.problems += in_threads(
            [(name, client) for name in kinds for client in clients[name]], one)
        for name in kinds:
            judge(row, server, clients[name], ENDS, name)
