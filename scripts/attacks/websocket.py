"""WebSocket: a client that sends any bytes as frames (RFC 6455), and notes what comes back."""

import base64
import collections
import dataclasses
import functools
import os
import struct

import http2
from peers import ATTACKER, TIMEOUT, VICTIM, head

CONTINUATION, TEXT, BINARY = range(3)
CLOSE, PING, PONG = range(8, 11)
FIN, RSV1, RSV2, RSV3 = 0x80, 0x40, 0x20, 0x10
MASK = 0x80
KEY = b"\x37\xfa\x21\x3d"
DEFLATE = {"Sec_WebSocket_Extensions": "permessage-deflate"}


def length(size, mask=MASK):
    """The second byte of a header and what follows, in the shortest form."""
    if size < 126:
        return bytes([mask | size])
    if size < 1 << 16:
        return bytes([mask | 126]) + struct.pack("!H", size)
    return bytes([mask | 127]) + struct.pack("!Q", size)


def frame(opcode, payload=b"", first=FIN, announced=None):
    """A masked frame. `first` has the upper bits of its first byte. Its header can announce another
    length than its payload has."""
    size = len(payload) if announced is None else announced
    whole = (KEY * (len(payload) // 4 + 1))[:len(payload)]
    masked = (int.from_bytes(payload, "big") ^ int.from_bytes(whole, "big")).to_bytes(
        len(payload), "big")
    return bytes([first | opcode]) + length(size) + KEY + masked


def close(code, reason=b""):
    return frame(CLOSE, struct.pack("!H", code) + reason)


def upgrade(**fields):
    """A request to open a WebSocket. A field with the value None is left out."""
    fields = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13",
              "Sec_WebSocket_Key": base64.b64encode(bytes(16)).decode(), **fields}
    return head("/", **{name: value for name, value in fields.items() if value is not None})


@dataclasses.dataclass
class Frame:
    first: int
    payload: bytes
    kind: int = -1  # no type of HTTP/2

    @property
    def opcode(self):
        return self.first & 0x0f


@dataclasses.dataclass
class Outcome(http2.Outcome):
    """What an attacker on one WebSocket has seen. `goaway` is the code of the close frame."""

    frames: collections.Counter = dataclasses.field(default_factory=collections.Counter)

    def note(self, got):
        self.frames[got.opcode] += 1
        self.content += len(got.payload)
        if got.opcode == CLOSE:
            self.goaway = str(struct.unpack("!H", got.payload[:2])[0]) if got.payload else "1005"


def frames_in(received):
    """The frames at the start of some bytes, which are removed."""
    at = 0
    while len(received) - at >= 2:
        size, start = received[at + 1] & 0x7f, at + 2
        if size >= 126:
            count = 2 if size == 126 else 8
            if len(received) < start + count:
                break
            size = int.from_bytes(received[start:start + count], "big")
            start += count
        if len(received) < start + size:
            break
        yield Frame(received[at], bytes(received[start:start + size]))
        at = start + size
    del received[:at]


class Client(http2.Client):
    """A WebSocket that is open."""

    def __init__(self, address, *_, source=ATTACKER, window=None, tls=None, fields=None, **_more):
        super().__init__(address, preface=False, source=source, window=window, tls=tls)
        self.outcome = Outcome()
        self.socket.sendall(upgrade(**fields or {}))
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            part = self.socket.recv(1)
            if not part:
                raise OSError(f"no WebSocket: {answer[:100]!r}")
            answer += part
        if not answer.startswith(b"HTTP/1.1 101 "):
            raise OSError(f"no WebSocket: {answer[:100]!r}")
        if fields and "Sec_WebSocket_Extensions" in fields:
            assert b"permessage-deflate" in answer, answer

    def frames(self, received):
        self._input += received
        yield from frames_in(self._input)


deflating = functools.partial(Client, fields=DEFLATE)


def fetch(address, target, source=VICTIM, timeout=TIMEOUT, tls=None, **fields):
    """Opens a WebSocket, and sends a message that must come back. Returns what `peers.fetch` does."""
    client = Client(address, source=source, tls=tls)
    sent, echoes = os.urandom(1000), []
    try:
        client.run([frame(BINARY, sent)], acknowledges=False, quiet=timeout, seconds=timeout,
                   until=lambda got: got.opcode == BINARY and not echoes.append(got.payload))
    finally:
        client.close()
    if not echoes:
        raise OSError(f"no echo: {client.outcome}")
    return 200, {}, b"echo" if echoes == [sent] else b"another message"
