"""WebSocket over HTTP/2 (RFC 8441): a hundred on one connection, each of which attacks."""

import collections

import websocket
from h2_trial import CALM, LATE, OPEN, Bounds, attack
from http2 import (
    DATA, END_HEADERS, HEADERS, INITIAL_WINDOW_SIZE, SETTINGS, WINDOW, WINDOW_UPDATE, block, frame,
    rst_stream, streams)
from peers import Victim

STREAMS = 100
CONNECTIONS = 4
MESSAGE = 1 << 20  # the largest message, by default
FLOOD = 20_000
LARGEST = 16_384  # bytes of a DATA frame


def run(trials):
    violations(trials)
    hoards(trials)
    resets(trials)


def connect(stream):
    """A request to open a WebSocket."""
    fields = [(":protocol", "websocket"), ("sec-websocket-version", "13")]
    return frame(HEADERS, block("/", "CONNECT", fields), END_HEADERS, stream)


def against(trials, name, act, ending, bounds, connections, *flags, **how):
    attack(trials, f"WebSockets: {name}", {"": (act, ending)}, bounds, connections, serves={
        "start": lambda: trials.start(
            "echo", "--websocket", "--listen", "127.0.0.1:0", "--log", "debug", *flags),
        "victim": lambda address: Victim(address, [("/", b"echo", {})], get=websocket.fetch)}, **how)


class Windows:
    """Sends content on all streams, as the windows permit."""

    def __init__(self, content):
        self.left = {stream: content for stream in streams(STREAMS)}
        self.window, self.initial = 65_535, 65_535
        self.given = collections.Counter()
        self.sent = collections.Counter()

    def on_frame(self, got):
        if got.kind == SETTINGS and not got.flags & 1:
            for at in range(0, len(got.payload), 6):
                if int.from_bytes(got.payload[at:at + 2], "big") == INITIAL_WINDOW_SIZE:
                    self.initial = got.number(at + 2)
        elif got.kind == WINDOW_UPDATE and got.stream:
            self.given[got.stream] += got.number()
        elif got.kind == WINDOW_UPDATE:
            self.window += got.number()
        elif got.kind != HEADERS:
            return b""
        return self.data()

    def data(self):
        out = []
        for stream, left in self.left.items():
            size = min(len(left), LARGEST, self.window,
                       self.initial + self.given[stream] - self.sent[stream])
            if size > 0:
                out.append(frame(DATA, left[:size], 0, stream))
                self.left[stream] = left[size:]
                self.sent[stream] += size
                self.window -= size
        return b"".join(out)


def opens(content):
    def act(_):
        windows = Windows(content)
        return [b"".join(connect(stream) for stream in streams(STREAMS))], windows.on_frame
    return act


def violations(trials):
    """An error in a WebSocket is one of its stream."""
    def check(row, outcomes):
        for outcome in outcomes:
            row.expect(outcome.statuses[200] == STREAMS, f"statuses {dict(outcome.statuses)}")
            row.expect(len(outcome.over) == STREAMS, f"{len(outcome.over)} streams are closed")

    against(trials, f"{STREAMS} × unmasked", opens(b"\x81\x01a"), OPEN, Bounds(), CONNECTIONS,
            check=check, quiet=LATE)


def hoards(trials):
    """Messages that don't end, and echoes that nobody reads."""
    announced = websocket.frame(websocket.BINARY, bytes(MESSAGE - 1), announced=MESSAGE)
    against(trials, f"{STREAMS} × 1 MiB but for a byte", opens(announced), OPEN,
            Bounds(grown=STREAMS + 60, seconds=10), 1, quiet=LATE, seconds=20)
    against(trials, f"{STREAMS} × 1 MiB announced", opens(announced[:15]), OPEN,
            Bounds(grown=20), CONNECTIONS, quiet=2)
    messages = websocket.frame(websocket.BINARY, bytes(60_000)) * 20
    for name, pairs in [("no stream may send", [(INITIAL_WINDOW_SIZE, 0)]),
                        ("the connection may not send", [(INITIAL_WINDOW_SIZE, WINDOW)])]:
        against(trials, f"{STREAMS} × echoes, {name}", opens(messages),
                OPEN | CALM | {"closed NO_ERROR", "reset NO_ERROR"}, Bounds(grown=100, seconds=10),
                CONNECTIONS, "--write-timeout", "2s", pairs=pairs, quiet=2 + LATE, seconds=20)


def resets(trials):
    """Each WebSocket is opened and reset (CVE-2023-44487)."""
    def act(_):
        ids = list(streams(FLOOD))
        return (b"".join(connect(stream) + rst_stream(stream) for stream in ids[at:at + 100])
                for at in range(0, FLOOD, 100))

    against(trials, "opened and reset", act, CALM, Bounds(seconds=4), CONNECTIONS, quiet=LATE,
            patience=LATE)
