"""HTTP/2: field blocks that are endless, that decode to much more than they are, or that churn the
table (RFC 9113, 10.5.1; RFC 7541, 7.3)."""

from h2_trial import CALM, ENDED, OPEN, Bounds, attack, ends
from http2 import (
    CONTINUATION, END_HEADERS, END_STREAM, HEADERS, block, frame, integer, literal, string, streams)

ENDLESS = 20_000  # frames
CONNECTIONS = 4  # of each kind
# The kernel takes these before the client sees that it was refused.
LATE_BYTES = 5 << 20
LARGEST = 16_384
INDEXED = b"\xbe"  # the newest entry of the dynamic table
# What a server does with too large a list: 431 or another refusal, a reset, or the end.
REFUSED = CALM | OPEN | ends("COMPRESSION_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR")


def run(trials):
    continuation(trials)
    large(trials)
    tables(trials)


def continuation(trials):
    started = frame(HEADERS, block(), END_STREAM, 1)

    def endless(payload):
        chunk = frame(CONTINUATION, payload, 0, 1)
        return (started if at == 0 else chunk for at in range(ENDLESS))

    attack(trials, "endless CONTINUATION", {
        name: (lambda _, payload=payload: endless(payload), CALM) for name, payload in [
            ("empty", b""), ("of 1 byte", b"\x82"), ("of 16 KiB", literal("x", "y" * 100) * 150)]
    }, Bounds(grown=10, sent=LATE_BYTES), CONNECTIONS, **ENDED)


def blocks(count, one):
    """Blocks on streams of their own, split into frames of 16 KiB. `one(at)` makes each."""
    for at, stream in enumerate(streams(count)):
        content = one(at)
        parts = [content[start:start + LARGEST] for start in range(0, len(content), LARGEST)]
        yield b"".join(
            frame(CONTINUATION if number else HEADERS, part,
                  (0 if number else END_STREAM) | (END_HEADERS if number == len(parts) - 1 else 0),
                  stream)
            for number, part in enumerate(parts))


def large(trials):
    """Lists that are too large. No field of them may be kept."""
    def refused(row, outcomes):
        good = sum(outcome.statuses[200] for outcome in outcomes)
        row.expect(not good, f"{good} are answered with 200")

    # 4,000 bytes in the table, and then 12,000 indices: 48 MB.
    bomb = literal("x", "y" * 4000, 0x40)
    kinds = {
        "a bomb of 48 MB, again and again":
            lambda at: block() + (bomb if at == 0 else b"") + INDEXED * 12_000,
        "cookies of nothing: 16,000 indices":
            lambda at: block() + (literal("cookie", "", 0x40) if at == 0 else b"") + INDEXED * 16_000,
        "129 fields": lambda at: block() + b"".join(
            literal(f"x-{number}", "y") for number in range(129)),
        "a list of 40 KB": lambda at: block() + literal("x", "y" * 20_000) * 2,
        "a path of 30 KB": lambda at: block("/" + "a" * 30_000),
        "a list of 200 KB": lambda at: block() + literal("x", "y" * 10_000) * 20,
        "a string that says it has 1 GB":
            lambda at: block() + b"\x00\x01x" + integer(1 << 30, 7) + b"y" * 1000,
        "an integer without an end":
            lambda at: block() + b"\x00\x01x\x7f" + b"\xff" * 10_000,
    }
    attack(trials, "fields", {
        name: (lambda _, one=one: blocks(100, one), REFUSED) for name, one in kinds.items()
    }, Bounds(grown=20, seconds=10), CONNECTIONS, check=refused)


def tables(trials):
    """Blocks that are small enough, but make the decoder move its table."""
    updates = integer(0, 5, 0x20) + integer(4096, 5, 0x20)
    small = [b"".join(literal(f"{number:x}", "", 0x40) for number in range(start, start + 100))
             for start in range(0, 3000, 100)]
    full = literal("x", "y" * 4063, 0x40)
    kinds = {
        "4,000 changes of the size in a block": (lambda at: updates * 2000 + block(),
                                                 ends("COMPRESSION_ERROR")),
        "a size above the maximum": (lambda at: integer(4097, 5, 0x20) + block(),
                                     ends("COMPRESSION_ERROR")),
        "a change in the middle": (lambda at: block() + updates + literal("x", "y"),
                                   ends("COMPRESSION_ERROR")),
        "two changes in every block": (lambda at: updates + block(), CALM | OPEN),
        "100 insertions in every block": (lambda at: block() + small[at % len(small)], CALM | OPEN),
        "the whole table replaced by every block": (
            lambda at: block() + full + INDEXED * 2, CALM | OPEN),
        "a name of its own entry that is evicted": (
            lambda at: block() + full + b"\x7e" + string("z" * 4063) + INDEXED, CALM | OPEN),
    }
    attack(trials, "tables", {
        name: (lambda _, one=one: blocks(1000, one), ending)
        for name, (one, ending) in kinds.items()
    }, Bounds(grown=20, seconds=10), CONNECTIONS)
