"""Step 8: writes and parses frames (docs/message.md), also for the tests of `sockeye message`."""

import json
import struct
import sys


def as_json(value):
    return json.dumps(value, ensure_ascii=False).encode()


def frame(content, kind="text/json", encoding="utf-8", **more):
    """A complete frame. An underscore in a keyword is a hyphen in the key."""
    header = as_json({
        "byteorder": sys.byteorder,
        "content-type": kind,
        "content-encoding": encoding,
        "content-length": len(content),
        **{key.replace("_", "-"): value for key, value in more.items()},
    })
    return struct.pack(">H", len(header)) + header + content


def raw(header, content=b""):
    """A frame with an arbitrary header."""
    return struct.pack(">H", len(header)) + header + content


def take(received):
    """Parses a frame. Returns its header, its content and the bytes after it, or None if the frame
    is incomplete."""
    if len(received) < 2:
        return None
    start = 2 + struct.unpack(">H", received[:2])[0]
    if len(received) < start:
        return None
    header = json.loads(received[2:start].decode())
    end = start + header["content-length"]
    if len(received) < end:
        return None
    return header, received[start:end], received[end:]
