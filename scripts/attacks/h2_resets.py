"""HTTP/2: streams that end at once, by the client's resets or by the server's (CVE-2023-44487,
CVE-2025-8671)."""

from h2_trial import CALM, ENDED, Bounds, attack, ends
from http2 import (
    DATA, END_HEADERS, END_STREAM, HEADERS, PRIORITY, WINDOW, block, frame, request, rst_stream,
    window_update)

COUNT = 200_000  # streams that an attacker tries to open on one connection
CONNECTIONS = 2
TURN = 100  # streams of one write
BOUNDS = Bounds(grown=30, seconds=10, sent=8 << 20)


def run(trials):
    rapid(trials)
    made(trials)


def by_turns(one):
    """What `one(stream)` makes, for ever more streams."""
    return (b"".join(map(one, range(start, start + 2 * TURN, 2)))
            for start in range(1, 2 * COUNT, 2 * TURN))


def rapid(trials):
    # A missing file takes a job, because the kernel doesn't know the name.
    attack(trials, "rapid reset", {
        f"of {name}": (lambda _, path=path: by_turns(
            lambda stream: request(stream, path.format(stream)) + rst_stream(stream)), CALM)
        for name, path in [("missing files", "/missing-{}"), ("a cached file", "/small.txt")]
    }, BOUNDS, CONNECTIONS, **ENDED)


def made(trials):
    """The client makes the server reset the streams. Each is an error of the stream only."""
    upload = [("content-length", "5")]
    faults = {
        "a window grows by 0": lambda stream: request(stream) + window_update(0, stream),
        "a window overflows": lambda stream: request(stream) + window_update(WINDOW, stream),
        "DATA after the end": lambda stream: request(stream) + frame(DATA, b"x", 0, stream),
        "HEADERS after the end": lambda stream: request(stream) + request(stream),
        "too much content": lambda stream: request(
            stream, "/small.txt", "POST", upload, ends=False) + frame(DATA, b"123456", 0, stream),
        "too little content": lambda stream: request(
            stream, "/small.txt", "POST", upload, ends=False) + frame(DATA, b"1", 1, stream),
        "trailers without an end": lambda stream: request(
            stream, "/small.txt", "POST", ends=False) + request(stream, ends=False),
        "a malformed field": lambda stream: request(stream, fields=[("Upper", "x")]),
        "no path": lambda stream: frame(HEADERS, b"\x82\x86", END_HEADERS | END_STREAM, stream),
        "PRIORITY of 4 bytes": lambda stream: request(stream) + frame(
            PRIORITY, bytes(4), 0, stream),
        # The blocks change the table, so none of them may be skipped.
        "a malformed field, inserted": lambda stream: frame(
            HEADERS, block() + b"\x40\x01X\x01y", END_HEADERS | END_STREAM, stream),
    }
    # Some may also be an error of the connection.
    either = CALM | ends("PROTOCOL_ERROR", "STREAM_CLOSED", "FLOW_CONTROL_ERROR", "FRAME_SIZE_ERROR")
    attack(trials, "made to reset", {
        name: (lambda _, fault=fault: by_turns(fault), either) for name, fault in faults.items()
    }, BOUNDS, CONNECTIONS, **ENDED)
