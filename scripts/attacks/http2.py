"""HTTP/2, by prior knowledge or over TLS: a client that sends any bytes as frames (RFC 9113, RFC 7541),
and notes what comes back."""

import collections
import contextlib
import dataclasses
import select
import socket
import ssl
import time

from peers import ATTACKER, TIMEOUT, VICTIM, connect

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER = 9  # bytes of a frame's header
INCREASE = (1 << 31) - 1 - 65535  # bytes by which the initial window of a connection can grow
WINDOW = (1 << 31) - 1  # the largest window

# Types of frames.
(DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE,
 CONTINUATION) = range(10)
PRIORITY_UPDATE = 16

END_STREAM = ACK = 1
END_HEADERS, PADDED = 4, 8

# Settings.
HEADER_TABLE_SIZE, _, _, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = range(1, 6)

ERRORS = ["NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT",
          "STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR",
          "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"]
CANCEL = ERRORS.index("CANCEL")
# Of the static table: the indices of the statuses.
STATUSES = dict(zip(range(0x88, 0x8f), [200, 204, 206, 304, 400, 404, 500]))


def error(code):
    return ERRORS[code] if code < len(ERRORS) else f"error {code}"


@dataclasses.dataclass
class Frame:
    kind: int
    flags: int
    stream: int
    payload: bytes

    def status(self):
        """The status of a response in HEADERS, without a decoder. 0: in a form that it can't read."""
        block = self.payload.lstrip(b"\x20")  # a change of the table's size to 0
        if block[:1] and block[0] in STATUSES:
            return STATUSES[block[0]]
        if block[:1] in (b"\x08", b"\x48") and block[1:2] == b"\x03":
            return int(block[2:5])
        return 0

    def number(self, at=0):
        """The 32 bits of the payload at an index."""
        return int.from_bytes(self.payload[at:at + 4], "big")


def frame(kind, payload=b"", flags=0, stream=0):
    return (len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
            + payload)


def settings(*pairs):
    return frame(SETTINGS, b"".join(
        name.to_bytes(2, "big") + value.to_bytes(4, "big") for name, value in pairs))


def number(value):
    """32 bits: the payload of WINDOW_UPDATE and RST_STREAM."""
    return value.to_bytes(4, "big")


def window_update(increment, stream=0):
    return frame(WINDOW_UPDATE, number(increment), stream=stream)


def rst_stream(stream, code=CANCEL):
    return frame(RST_STREAM, number(code), stream=stream)


def priority_update(stream, value=b"u=1"):
    return frame(PRIORITY_UPDATE, number(stream) + value)


def integer(value, bits, first=0):
    """An integer with a prefix (RFC 7541, 5.1). `first` has the bits before it."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([first | value])
    out, value = bytearray([first | limit]), value - limit
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes(out) + bytes([value])


def string(text):
    text = text.encode() if isinstance(text, str) else text
    return integer(len(text), 7) + text


def literal(name, value, first=0):
    """A field that isn't in a table. `first`: 0x40 inserts it."""
    return bytes([first]) + string(name) + string(value)


def block(path="/small.txt", method="GET", fields=(), authority="localhost"):
    """The field block of a request."""
    methods = {"GET": b"\x82", "POST": b"\x83"}
    return b"".join([
        methods.get(method) or b"\x02" + string(method), b"\x86",
        b"\x84" if path == "/" else b"\x04" + string(path), b"\x01" + string(authority),
        *[literal(name, value) for name, value in fields]])


def request(stream, path="/small.txt", method="GET", fields=(), ends=True):
    return frame(HEADERS, block(path, method, fields), END_HEADERS | (END_STREAM if ends else 0),
                 stream)


def streams(count):
    """The identifiers of a client's first streams."""
    return range(1, 2 * count, 2)


@dataclasses.dataclass
class Outcome:
    """What an attacker on one connection has seen."""

    # "open", "closed", "reset", or "stalled": the server takes no more bytes.
    state: str = "open"
    sent: int = 0  # bytes
    received: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    statuses: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    resets: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    goaway: str = ""  # the error code of the last GOAWAY
    content: int = 0  # bytes of DATA
    over: set = dataclasses.field(default_factory=set)  # streams that the server has ended
    seconds: float = 0.0

    def note(self, got):
        if got.kind == RST_STREAM or (got.kind in (DATA, HEADERS) and got.flags & END_STREAM):
            self.over.add(got.stream)
        self.received[got.kind] += 1
        if got.kind == HEADERS:
            self.statuses[got.status()] += 1
        elif got.kind == RST_STREAM:
            self.resets[error(got.number())] += 1
        elif got.kind == GOAWAY:
            self.goaway = error(got.number(4))
        elif got.kind == DATA:
            self.content += len(got.payload)

    def __str__(self):
        """How it ended."""
        return f"{self.state} {self.goaway}".strip()

    def is_over(self):
        return self.state in ("closed", "reset")


class Client:
    """A connection. Sends the preface and SETTINGS, unless `preface` is false."""

    def __init__(self, address, *pairs, preface=True, window=None, source=ATTACKER, tls=None):
        self.socket = connect(address, source=source, window=window)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self.source, self.port = self.socket.getsockname()
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.outcome = Outcome()
        self._input = bytearray()
        self._queue = bytearray(PREFACE + settings(*pairs) if preface else b"")

    def frames(self, received):
        """The frames that are complete with these bytes."""
        self._input += received
        at = 0
        while len(self._input) - at >= HEADER:
            length = int.from_bytes(self._input[at:at + 3], "big")
            end = at + HEADER + length
            if len(self._input) < end:
                break
            stream = int.from_bytes(self._input[at + 5:at + 9], "big")
            yield Frame(self._input[at + 3], self._input[at + 4], stream,
                        bytes(self._input[at + HEADER:end]))
            at = end
        del self._input[:at]

    def run(self, chunks=(), reads=True, on_frame=None, until=None, acknowledges=True, quiet=0.3,
            patience=1.0, seconds=8.0):
        """Sends all chunks, and reads meanwhile, if `reads`. Ends when the connection does, when
        `until` is true for a frame, after `seconds`, when the server takes no bytes for `patience`
        seconds, or when everything was sent and nothing has come for `quiet` seconds.
        `on_frame` gets each frame and returns bytes to send. SETTINGS are acknowledged, unless
        `acknowledges` is false."""
        outcome, chunks = self.outcome, iter(chunks)
        outcome.state = "open"
        began = moved = time.monotonic()
        self.socket.setblocking(False)
        done = False
        while outcome.state == "open" and not done and (now := time.monotonic()) < began + seconds:
            while len(self._queue) < 1 << 16 and (chunk := next(chunks, None)) is not None:
                self._queue += chunk
            wait = patience if self._queue else quiet
            if now > moved + wait:
                outcome.state = "stalled" if self._queue else "open"
                break
            is_decrypted = reads and isinstance(self.socket, ssl.SSLSocket) and self.socket.pending()
            ready = select.select([self.socket] if reads else [], [self.socket] if self._queue else [],
                                  [], 0 if is_decrypted else min(wait, 0.1))
            if is_decrypted:
                ready = [self.socket], ready[1]
            if not (ready[0] or ready[1]):
                continue
            moved = time.monotonic()
            try:
                if ready[0]:
                    received = self.socket.recv(1 << 16)
                    if not received:
                        outcome.state = "closed"
                    for got in self.frames(received):
                        outcome.note(got)
                        if acknowledges and got.kind == SETTINGS and not got.flags & ACK:
                            self._queue += frame(SETTINGS, flags=ACK)
                        self._queue += (on_frame(got) if on_frame else None) or b""
                        done = done or bool(until and until(got))
                if ready[1]:
                    sent = self.socket.send(self._queue)
                    outcome.sent += sent
                    del self._queue[:sent]
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                continue
            except OSError:
                self._last_frames()
                outcome.state = "reset"
        outcome.seconds += time.monotonic() - began
        return outcome

    def _last_frames(self):
        """What had arrived before the connection broke."""
        with contextlib.suppress(OSError):
            while received := self.socket.recv(1 << 16):
                for got in self.frames(received):
                    self.outcome.note(got)

    def wait(self, seconds):
        """Reads until the server closes the connection."""
        return self.run(quiet=seconds, seconds=seconds)

    def close(self):
        self.socket.close()


def fetch(address, target, source=VICTIM, timeout=TIMEOUT, tls=None, **fields):
    """Makes one request on a new connection. Returns the status, no fields, and the content."""
    assert not fields, "not supported"
    client = Client(address, (INITIAL_WINDOW_SIZE, WINDOW), source=source, tls=tls)
    content, statuses = [], []

    def take(got):
        if got.kind == DATA:
            content.append(got.payload)
        elif got.kind == HEADERS:
            statuses.append(got.status())

    def is_end(got):
        return got.stream == 1 and got.kind in (DATA, HEADERS) and got.flags & END_STREAM

    try:
        client.run([window_update(INCREASE), request(1, target)], on_frame=take, until=is_end,
                   quiet=timeout, seconds=timeout)
    finally:
        client.close()
    if not statuses:
        raise OSError(f"no response: {client.outcome}")
    return statuses[0], {}, b"".join(content)
