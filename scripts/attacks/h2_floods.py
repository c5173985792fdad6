"""HTTP/2: frames that say nothing, again and again, from clients that read the answers and from those
that don't (CVE-2019-9511 to 9518)."""

import ssl

from authority import Authority
from h2_trial import CALM, ENDED, OPEN, STALLED, Bounds, attack, ends
from http2 import (
    ACK, CONTINUATION, DATA, END_HEADERS, INITIAL_WINDOW_SIZE, PADDED, PING, SETTINGS, frame, request,
    rst_stream, settings, window_update)

FRAMES = 2_000_000  # content of 1 byte has the highest limit, 1.2 million
TURN = 500  # frames of one write
CONNECTIONS = 4  # of each kind
LATER = 10_000  # the number of a stream that is idle


def over_tls(trials, attacks, bounds):
    """The same over TLS, where a layer more could hold frames or answers."""
    authority = Authority(trials.directory / "authority")
    tls = ssl.create_default_context(cafile=authority.certificate)
    tls.set_alpn_protocols(["h2"])
    attack(trials, "floods over TLS", attacks, bounds, CONNECTIONS, flags=authority.flags(),
           serves={"tls": tls}, **ENDED)


def run(trials):
    # What begins the flood, and what is repeated.
    upload = request(1, "/small.txt", "POST", ends=False)
    over = request(1) + rst_stream(1)
    kinds = {
        "PING": (b"", frame(PING, bytes(8))),
        "PING with ACK": (b"", frame(PING, bytes(8), ACK)),
        "SETTINGS": (b"", settings()),
        "SETTINGS of 100 values": (b"", settings(*[(0xf000 + at, at) for at in range(100)])),
        "SETTINGS that move 50 windows": (
            b"".join(request(stream, "/small.txt", "POST", ends=False)
                     for stream in range(1, 101, 2)),
            settings((INITIAL_WINDOW_SIZE, 0)) + settings((INITIAL_WINDOW_SIZE, 65535))),
        "SETTINGS with ACK": (b"", frame(SETTINGS, flags=ACK)),
        "RST_STREAM for a closed stream": (over, rst_stream(1)),
        "WINDOW_UPDATE for a closed stream": (over, window_update(1, 1)),
        "WINDOW_UPDATE for the connection": (b"", window_update(1)),
        "WINDOW_UPDATE for a stream": (upload, window_update(1, 1)),
        "unknown frames": (b"", frame(0xfa)),
        "unknown frames of 16 KiB": (b"", frame(0xfa, bytes(16384))),
        "empty DATA": (upload, frame(DATA, stream=1)),
        "DATA of padding": (upload, frame(DATA, b"\xff" + bytes(255), PADDED, 1)),
        "DATA of 1 byte": (upload, frame(DATA, b"x", stream=1)),
        "CONTINUATION for nothing": (b"", frame(CONTINUATION, b"", END_HEADERS, 1)),
    }
    # Most floods are errors at their second or third frame.
    ending = CALM | ends("PROTOCOL_ERROR", "STREAM_CLOSED", "FLOW_CONTROL_ERROR", "NO_ERROR")
    bounds = Bounds(grown=30, seconds=10, sent=32 << 20)

    def flood(name):
        first, repeated = kinds[name]
        chunk = repeated * TURN
        return (first if at == 0 else chunk for at in range(FRAMES // TURN))

    attack(trials, "floods", {name: (lambda _, name=name: flood(name), ending) for name in kinds},
           bounds, CONNECTIONS, **ENDED)
    over_tls(trials, {name: (lambda _, name=name: flood(name), ending) for name in kinds}, bounds)
    # The kernel may take much of what the server doesn't read, and a client that doesn't read sees no
    # GOAWAY: only the cost matters.
    ending = ending | STALLED | OPEN | {"reset"}
    # Streams above the limit: each is refused by a frame, which the client doesn't read.
    refusals = b"".join(request(stream, ends=False) for stream in range(1, LATER, 2))
    attack(trials, "floods by clients that read nothing", {
        "PING": (lambda _: flood("PING"), ending),
        "SETTINGS": (lambda _: flood("SETTINGS"), ending),
        "streams above the limit": (
            lambda _: (refusals[start:start + 20_000]
                       for start in range(0, len(refusals), 20_000)), ending),
    }, bounds, CONNECTIONS, window=4096, reads=False)
