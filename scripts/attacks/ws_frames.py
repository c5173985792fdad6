"""WebSocket: floods, messages that are too large or break the protocol, compressed bombs, and clients
that fall silent or don't read."""

import os
import zlib

from h2_trial import LATE, OPEN, STALLED, Bounds, attack
from peers import Victim
from websocket import (
    BINARY, CLOSE, CONTINUATION, FIN, KEY, MASK, PING, PONG, RSV1, RSV2, RSV3, TEXT, Client, close,
    deflating, fetch, frame)

CONNECTIONS = 4  # of each kind
FLOOD = 64 << 20  # bytes that a flood tries to send
TURN = 1 << 16  # bytes of one write
MESSAGE = 1 << 20  # the largest message, by default
HOARDERS = 200
BUDGET = 64  # MiB
SLACK = 30  # MiB
PONG_TIMEOUT = 20  # seconds
# Who falls silent is cut without a close frame.
SILENT = frozenset(["closed", "reset"])
WRITE_TIMEOUT = 2


def run(trials):
    violations(trials)
    floods(trials)
    bombs(trials)
    hoards(trials)
    unread(trials)


def ends(*codes):
    """The server has closed the WebSocket with one of these codes."""
    return frozenset(f"{state} {code}" for code in codes for state in ("closed", "reset"))


def against(trials, name, kinds, bounds, connections, *flags, make=Client, **how):
    """Attacks the echo server. Its victim opens WebSockets."""
    attack(trials, name, kinds, bounds, connections, wire="WebSocket", make=make,
           acknowledges=False, serves={
               "start": lambda: trials.start(
                   "echo", "--websocket", "--listen", "127.0.0.1:0", "--log", "debug", *flags),
               "victim": lambda address: Victim(address, [("/", b"echo", {})], get=fetch)}, **how)


def repeated(bytes_, first=b""):
    """What begins a flood, and what is repeated, in chunks."""
    chunk = bytes_ * max(1, TURN // len(bytes_))
    yield first
    for _ in range(FLOOD // len(chunk)):
        yield chunk


def violations(trials):
    """Each must be answered with a close frame that has the right code, at once."""
    started = frame(TEXT, b"a", first=0)
    kinds = {
        "unmasked": (bytes([FIN | TEXT, 1]) + b"a", 1002),
        "RSV1 without compression": (frame(TEXT, b"a", first=FIN | RSV1), 1002),
        "RSV2": (frame(TEXT, b"a", first=FIN | RSV2), 1002),
        "RSV3": (frame(TEXT, b"a", first=FIN | RSV3), 1002),
        "opcode 3": (frame(3), 1002),
        "opcode 15": (frame(15), 1002),
        "a fragment of a ping": (frame(PING, first=0), 1002),
        "a ping of 126 bytes": (frame(PING, bytes(126)), 1002),
        "a continuation of nothing": (frame(CONTINUATION, b"a"), 1002),
        "a message in a message": (started + frame(TEXT, b"a"), 1002),
        "a length of 63 bits": (frame(BINARY, announced=(1 << 63) - 1), 1009),
        "a length of 64 bits": (frame(BINARY, announced=(1 << 64) - 1), 1002),
        "a length that is too long": (bytes([FIN | TEXT, MASK | 126, 0, 1]) + KEY + b"a", 1002),
        "one byte more than a message may have": (frame(BINARY, announced=MESSAGE + 1), 1009),
        "too much in fragments": (
            frame(BINARY, bytes(MESSAGE), first=0) + frame(CONTINUATION, b"a"), 1009),
        "bytes that no UTF-8 has": (frame(TEXT, b"\xff", announced=MESSAGE), 1007),
        "half a character": (frame(TEXT, b"\xe2\x82"), 1007),
        "a surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
        "half a close code": (frame(CLOSE, b"\x03"), 1002),
        "a close code that is never sent": (close(1005), 1002),
        "a close reason that isn't UTF-8": (close(1000, b"\xff"), 1007),
    }
    kinds = {name: (lambda _, sent=sent: [sent + frame(TEXT, b"never read") * 1000], ends(code))
             for name, (sent, code) in kinds.items()}
    against(trials, "violations", kinds, Bounds(grown=30), CONNECTIONS, quiet=LATE)


def floods(trials):
    """Frames without an end, from clients that read the answers."""
    started = frame(TEXT, b"a", first=0)
    kinds = {
        "empty fragments": (frame(CONTINUATION, first=0), started, ends(1008)),
        "fragments of 1 byte": (frame(CONTINUATION, b"a", first=0), started, ends(1008)),
        "pings": (frame(PING, bytes(125)), b"", OPEN),
        "empty pings": (frame(PING), b"", OPEN),
        "pongs": (frame(PONG), b"", OPEN),
        "pings in a message": (frame(PING), started, OPEN),
        "empty messages": (frame(TEXT), b"", OPEN),
        "frames after the close frame": (frame(TEXT), close(1000), ends(1000)),
    }
    against(trials, "floods", {
        name: (lambda _, one=one, first=first: repeated(one, first), ending)
        for name, (one, first, ending) in kinds.items()
    }, Bounds(grown=30, seconds=10), 1, seconds=8, patience=LATE)


def compressed(content):
    """The payload of a compressed message (RFC 7692, 7.2.1)."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (deflate.compress(content) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]


def bombs(trials):
    """Compressed messages that are small, or are announced to be, and become large."""
    rsv1 = FIN | RSV1
    whole = compressed(bytes(16 * MESSAGE))
    parts = [whole[at:at + 100] for at in range(0, len(whole), 100)]
    in_parts = b"".join(frame(CONTINUATION if at else BINARY, part, first=0 if at else RSV1)
                        for at, part in enumerate(parts))
    # Random bytes don't shrink: with them, the message has 173 times the length of its payload.
    allowed = compressed(os.urandom(5000) + bytes(MESSAGE - 6000))
    kinds = {
        "16 MiB of zeros": ([frame(BINARY, whole, first=rsv1)], ends(1009)),
        "16 MiB of zeros in fragments": ([in_parts], ends(1009)),
        "garbage": ([frame(BINARY, b"\xff" * 1000, first=rsv1)], ends(1007)),
        "half a block": ([frame(BINARY, whole[:20], first=rsv1)], ends(1007)),
        "RSV1 on a continuation": ([frame(BINARY, b"a", first=0), frame(CONTINUATION, first=rsv1)],
                                   ends(1002)),
        "messages just below the highest ratio": ([frame(BINARY, allowed, first=rsv1)] * 50, OPEN),
        "empty blocks without an end": ([frame(BINARY, b"\0\0\0\xff\xff" * 200_000, first=rsv1)],
                                        ends(1007)),
    }
    against(trials, "bombs", {name: (lambda _, sent=sent: sent, ending)
                              for name, (sent, ending) in kinds.items()},
            Bounds(grown=60, seconds=15), CONNECTIONS, "--deflate", make=deflating, quiet=LATE,
            seconds=20, patience=LATE)


def hoards(trials):
    """Clients that begin a message, or nothing, and fall silent. Memory grows with what has come, not
    with what was announced, and who answers no ping is cut."""
    announced = frame(BINARY, b"a", announced=MESSAGE)
    kinds = {
        "nothing": b"",
        "half a header": frame(TEXT, b"a")[:3],
        "1 MiB announced": announced,
        "a first fragment": frame(BINARY, b"a", first=0),
    }
    waits = PONG_TIMEOUT + 2 + LATE
    # The log has ten lines of a kind for an address.
    against(trials, "silence", {name: (lambda _, sent=sent: [sent], SILENT)
                                for name, sent in kinds.items()},
            Bounds(grown=10), 10, "--ping-after", "2s", quiet=waits, seconds=waits)
    fragments = frame(BINARY, b"a", first=0) + frame(CONTINUATION, b"a", first=0) * 1000
    for name, sent in [("1 MiB announced", announced), ("1,000 fragments of 1 byte", fragments)]:
        against(trials, f"hoards: {HOARDERS} × {name}", {"": (lambda _, sent=sent: [sent], OPEN)},
                Bounds(grown=10), HOARDERS, quiet=2, patience=LATE)
    # The budget is 64 MiB for all addresses, and a quarter for one. Above it, only 40 KiB are kept.
    almost = frame(BINARY, bytes(MESSAGE - 1), announced=MESSAGE)
    for addresses, most in ((1, BUDGET // 4), (20, BUDGET)):
        each = HOARDERS // addresses
        kinds = {f"address {at + 1}": (lambda _: [almost], OPEN | ends(1013))
                 for at in range(addresses)}
        against(trials, f"hoards: {HOARDERS} × all of 1 MiB but for a byte, {addresses} addresses",
                kinds, Bounds(grown=most + SLACK), each, quiet=2, patience=LATE, logs=each <= 10)


def unread(trials):
    """Clients that send messages and read no echo: the server stops reading, and cuts them."""
    message = frame(BINARY, bytes(MESSAGE - 100))
    kinds = {
        "messages of 1 MiB": repeated_each(message),
        "messages of 100 bytes": repeated_each(frame(BINARY, bytes(100))),
        "pings": repeated_each(frame(PING, bytes(125))),
    }
    against(trials, "echoes that nobody reads", {
        name: (act, STALLED | OPEN | {"reset"}) for name, act in kinds.items()
    }, Bounds(grown=100, seconds=15), 10, "--write-timeout", f"{WRITE_TIMEOUT}s", window=4096,
        reads=False, patience=WRITE_TIMEOUT + LATE, seconds=20)


def repeated_each(one):
    return lambda _: repeated(one)
