"""HTTP/2 as a client may send it, damaged, and how python's h2 judges it as a server."""

import random
import re
import socket

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import hpack
import hyperframe.exceptions
import hyperframe.frame
from hyperframe.frame import (
    ContinuationFrame, DataFrame, GoAwayFrame, HeadersFrame, PingFrame, PriorityFrame,
    RstStreamFrame, SettingsFrame, WindowUpdateFrame)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER = 9  # bytes of a frame's header
TIMEOUT = 10  # seconds
QUIET = 2  # seconds after which a server that has sent nothing more has judged
STREAMS = [0, 1, 2, 3, 5, 7, 9, 101]
# In the content of a 400: the connection ended before the request did, which is no error here.
INCOMPLETE = b"ended its side"
LAST = PingFrame(0, opaque_data=b"the last").serialize()


def sent(rng):
    """The frames of a client that keeps to the rules, as byte strings."""
    encoder = hpack.Encoder()
    frames = [SettingsFrame(0, settings=rng.choice([
        {}, {1: 0}, {1: 100}, {4: 1 << 20}, {5: 1 << 20}, {2: 0}, {99: 1}]))]
    for stream in range(1, rng.choice([3, 5, 9]), 2):
        of_stream = request(rng, encoder, stream)
        # Frames of other kinds between those of the request, but not inside of a field block.
        for one in of_stream:
            frames.append(one)
            whole = "END_HEADERS" in one.flags or isinstance(one, DataFrame)
            if whole and rng.random() < 0.3:
                frames.append(control(rng, stream))
    return [one.serialize() for one in frames]


def request(rng, encoder, stream):
    content = bytes(rng.choice([0, 1, 10, 300])) if rng.random() < 0.6 else None
    trailers = content is not None and rng.random() < 0.3
    fields = [(":method", "GET" if content is None else "POST"), (":scheme", "http"),
              (":path", rng.choice(["/", "/echo"])), (":authority", "localhost")]
    fields += [("x-" + rng.choice("abc"), rng.choice(["", "1", "some text"]))
               for _ in range(rng.randrange(4))]
    if content is not None and rng.random() < 0.5:
        fields.append(("content-length", str(len(content))))
    frames = field_frames(rng, stream, encoder.encode(fields))
    if content is None:
        frames[0].flags.add("END_STREAM")
        return frames
    data = DataFrame(stream, content)
    if rng.random() < 0.2:
        data.flags.add("PADDED")
        data.pad_length = rng.randrange(20)
    frames.append(data)
    if trailers:
        more = field_frames(rng, stream, encoder.encode([("x-end", "yes")]))
        more[0].flags.add("END_STREAM")
        return frames + more
    data.flags.add("END_STREAM")
    return frames


def field_frames(rng, stream, block):
    """A field block in one frame, or in two or three."""
    cuts = sorted(rng.randrange(len(block) + 1) for _ in range(rng.choice([0, 0, 0, 1, 2])))
    parts = [block[start:end] for start, end in zip([0, *cuts], [*cuts, len(block)])]
    frames = [HeadersFrame(stream, parts[0]), *(ContinuationFrame(stream, part) for part in parts[1:])]
    frames[-1].flags.add("END_HEADERS")
    return frames


def control(rng, stream):
    return rng.choice([
        lambda: PingFrame(0, opaque_data=bytes(8)),
        lambda: WindowUpdateFrame(0, window_increment=rng.choice([1, 1000, 1 << 20])),
        lambda: WindowUpdateFrame(stream, window_increment=rng.choice([1, 1000])),
        lambda: PriorityFrame(stream, depends_on=0, stream_weight=3),
        lambda: SettingsFrame(0, settings={4: rng.choice([65535, 1 << 20])}),
        lambda: SettingsFrame(0, flags=["ACK"]),
        lambda: RstStreamFrame(stream, error_code=8),
        lambda: GoAwayFrame(0, last_stream_id=0, error_code=0),
    ])()


def arbitrary(rng):
    """Any frame."""
    length = rng.choice([0, 0, 1, 3, 4, 5, 6, 8, 8, 9, 12, 40])
    payload = bytes(rng.choice([0, 0, 1, 4, 8, 127, 255, rng.randrange(256)]) for _ in range(length))
    return frame(rng.choice([*range(11), 16, 200]), rng.choice([0, 0, 1, 4, 5, 8, 13, 32, 255]),
                 rng.choice(STREAMS), payload)


def frame(kind, flags, stream, payload):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def damage(rng, frames):
    """Changes frames in one to three places."""
    frames = list(frames)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(frames))
        whole = bytearray(frames[at])
        change = rng.randrange(9)
        if change == 0:
            frames.insert(at, arbitrary(rng))
        elif change == 1 and len(frames) > 1:
            del frames[at]
        elif change == 2:
            frames.insert(rng.randrange(len(frames) + 1), frames[at])
        elif change == 3:
            other = rng.randrange(len(frames))
            frames[at], frames[other] = frames[other], frames[at]
        elif change == 4:  # the type, the flags, or the stream
            position = rng.choice([3, 4, 4, 8])
            whole[position] = rng.choice(STREAMS[:7]) if position == 8 else rng.choice(
                [*range(11)]) if position == 3 else whole[4] ^ rng.choice([1, 4, 8, 32])
            frames[at] = bytes(whole)
        elif change == 5 and len(whole) > HEADER:
            whole[rng.randrange(HEADER, len(whole))] = rng.randrange(256)
            frames[at] = bytes(whole)
        elif change in (6, 7):  # another length of the payload
            payload = whole[HEADER:]
            payload = payload[:-1] if change == 6 else payload + bytes(rng.choice([1, 1, 5]))
            frames[at] = bytes(len(payload).to_bytes(3, "big") + whole[3:HEADER] + payload)
        else:  # a length that isn't right: what follows is read as something else
            whole[2] = rng.choice([0, 1, 4, 8, whole[2] ^ 1])
            frames[at] = bytes(whole)
    return b"".join(frames)


def split(data):
    """The frames of a byte string; the last one may be incomplete."""
    at = 0
    while at < len(data):
        end = at + HEADER + int.from_bytes(data[at:at + 3], "big")
        yield data[at:end]
        at = end


class Verdict:
    """What a server did: an error of the connection, or what happened to each stream."""

    def __init__(self, output):
        self.connection = None
        self.streams = {}
        decoder = hpack.Decoder()
        # The client may have said so.
        decoder.max_allowed_table_size = 1 << 32
        for one in split(output):
            if len(one) < HEADER:
                break
            kind, stream = one[3], int.from_bytes(one[5:9], "big")
            if kind == 7 and (code := int.from_bytes(one[13:17], "big")):
                self.connection = self.connection or name(code)
            elif kind == 3:
                code = int.from_bytes(one[9:13], "big")
                # NO_ERROR comes after a whole response.
                if code:
                    self.streams[stream] = f"reset {name(code)}"
            elif kind == 1 and stream not in self.streams:
                fields = dict(decoder.decode(one[HEADER:], raw=True))
                self.streams[stream] = f"status {fields[b':status'].decode()}"
            elif kind == 0 and INCOMPLETE in one:
                self.streams[stream] = "status 200"

    def errors(self):
        """In words."""
        if self.connection:
            return f"connection {self.connection}"
        found = sorted({end for end in self.streams.values() if end != "status 200"})
        return ", ".join(found) or "nothing wrong"


def name(code):
    try:
        return h2.errors.ErrorCodes(code).name
    except ValueError:
        return str(code)


def theirs(data):
    """How h2 judges it, as a server that sends content back. Returns the verdict, the error's text,
    and the bytes up to the end of the frame with the error."""
    server = h2.connection.H2Connection(h2.config.H2Configuration(
        client_side=False, header_encoding=None))
    server.local_settings = h2.settings.Settings(client=False, initial_values={
        h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 100,
        h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: 32768})
    server.initiate_connection()
    bodies, why, end = {}, "", 0
    try:
        server.receive_data(PREFACE)
        for one in split(data):
            end += len(one)
            for event in server.receive_data(one):
                respond(server, event, bodies)
    except (h2.exceptions.ProtocolError, hyperframe.exceptions.HyperframeError) as error:
        why = f"{type(error).__name__}: {re.sub(r'[0-9]+', 'N', str(error))}"
    return Verdict(server.data_to_send()), why, data[:end]


def respond(server, event, bodies):
    try:
        if isinstance(event, h2.events.RequestReceived):
            bodies[event.stream_id] = b""
        elif isinstance(event, h2.events.DataReceived):
            bodies[event.stream_id] += event.data
            if event.flow_controlled_length:
                server.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            content = bodies.pop(event.stream_id) or b"ok"
            server.send_headers(event.stream_id, [(":status", "200")])
            room = server.local_flow_control_window(event.stream_id)
            if room >= len(content):
                server.send_data(event.stream_id, content, end_stream=True)
    except (h2.exceptions.StreamClosedError, h2.exceptions.NoSuchStreamError):
        pass  # reset meanwhile


def ours(address, data):
    """What Sockeye does. It may keep the connection for a while after an incomplete request."""
    output = []
    with socket.create_connection(address, timeout=TIMEOUT) as connection:
        try:
            connection.sendall(PREFACE + data)
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(QUIET)
            while part := connection.recv(1 << 16):
                output.append(part)
        except (ConnectionResetError, BrokenPipeError, TimeoutError):
            pass
    return Verdict(b"".join(output))


def case(seed):
    """What is sent from a seed."""
    rng = random.Random(seed)
    frames = sent(rng)
    return (b"".join(frames) if seed % 20 == 0 else damage(rng, frames)) + LAST
