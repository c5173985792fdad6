"""HTTP/2: signals of priority, again and again (RFC 9113, 6.3; RFC 9218, 7.1)."""

from h2_trial import CALM, ENDED, Bounds, attack, ends
from http2 import PRIORITY, frame, number, priority_update, request, streams

FRAMES = 400_000
TURN = 500  # frames of one write
CONNECTIONS = 4  # of each kind


def run(trials):
    opened = b"".join(request(stream, "/small.txt", "POST", ends=False) for stream in streams(50))

    def depends(at):
        # Each depends exclusively on the one before, in turn.
        return frame(PRIORITY, number((1 << 31) | (2 * (at % 49) + 1)) + b"\xff",
                     stream=2 * (at % 50) + 3)

    kinds = {
        "PRIORITY of 50 open streams": (opened, depends),
        "PRIORITY of idle streams": (b"", lambda at: frame(
            PRIORITY, number(1) + b"\0", stream=2 * at + 3)),
        "PRIORITY_UPDATE of 50 open streams": (
            opened, lambda at: priority_update(2 * (at % 50) + 1, b"u=%d" % (at % 8))),
        "PRIORITY_UPDATE of idle streams": (b"", lambda at: priority_update(2 * at + 1)),
        "PRIORITY_UPDATE of the same idle stream": (b"", lambda at: priority_update(1)),
        "PRIORITY_UPDATE of 16 KiB": (b"", lambda at: priority_update(1, b"a" * 16_380)),
        "PRIORITY_UPDATE of a closed stream": (request(1), lambda at: priority_update(1)),
    }
    def flood(name):
        first, one = kinds[name]
        yield first
        if "idle" not in name:
            turn = b"".join(map(one, range(TURN)))
        for start in range(0, FRAMES, TURN):
            yield b"".join(map(one, range(start, start + TURN))) if "idle" in name else turn

    ending = CALM | ends("PROTOCOL_ERROR")
    attack(trials, "priorities", {name: (lambda _, name=name: flood(name), ending) for name in kinds},
           Bounds(seconds=8, sent=32 << 20), CONNECTIONS, **ENDED)
