"""Valid HTTP/2 connections, made with python's h2 as the client, to a server that sends content back."""

import random
import socket
import time

import h2.config
import h2.connection
import h2.events
import h2.settings
from h2.settings import SettingCodes

TIMEOUT = 20  # seconds for an exchange
SIZES = [0, 0, 1, 100, 16_384, 16_385, 70_000]
WINDOWS = [0, 100, 1000, 65_535, 1 << 20]


class Request:
    """One request of an exchange, and what has come of it."""

    def __init__(self, rng, stream, largest):
        self.stream = stream
        size = min(rng.choice(SIZES), largest)
        self.content = rng.randbytes(size)
        self.is_get = size == 0 and rng.random() < 0.5
        self.trailers = not self.is_get and rng.random() < 0.3
        self.padded = rng.random() < 0.2
        self.cancelled = rng.random() < 0.05
        self.fields = [(f"x-{number}", rng.choice(["", "a", "long " * 20 + "end"]))
                       for number in range(rng.randrange(5))]
        self.begun = self.all_sent = self.ended = False
        self.sent = 0
        self.statuses, self.received = [], b""

    def head(self):
        fields = [(":method", "GET" if self.is_get else "POST"), (":scheme", "http"),
                  (":path", "/echo" if self.is_get else "/"), (":authority", "localhost")]
        if len(self.content) % 3 == 1:
            fields.append(("content-length", str(len(self.content))))
        return fields + self.fields

    def check(self):
        assert self.statuses == [b"200"], f"status {self.statuses}"
        if self.is_get:
            listed = "".join(f"{name}: {value}\n" for name, value in self.fields)
            assert self.received.decode().endswith(listed), self.received
        else:
            assert self.received == (self.content or b"ok"), \
                f"{len(self.received)} bytes instead of {len(self.content)}"


class Exchange:
    def __init__(self, address, seed):
        self.rng = rng = random.Random(seed)
        self.client = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=True, header_encoding=None))
        window = rng.choice(WINDOWS[1:])
        self.client.local_settings = h2.settings.Settings(client=True, initial_values={
            SettingCodes.INITIAL_WINDOW_SIZE: window,
            SettingCodes.HEADER_TABLE_SIZE: rng.choice([0, 100, 4096, 65_536]),
            SettingCodes.MAX_FRAME_SIZE: rng.choice([16_384, 1 << 20]),
            SettingCodes.ENABLE_PUSH: rng.choice([0, 1]),
        })
        self.client.initiate_connection()
        # More than a thousand small frames would be an attack.
        largest = 20_000 if window < 65_535 else 70_000
        count = rng.choice([1, 2, 4, 8])
        self.requests = {stream: Request(rng, stream, largest)
                         for stream in range(1, 2 * count, 2)}
        self.pings = 0
        self.changes = 0
        # For h2, an acknowledgement is one of the next change of each setting, so there is only one
        # at a time.
        self.unacknowledged = True
        self.socket = socket.create_connection(address, timeout=TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Up to this many bytes in one write.
        is_small = sum(len(request.content) for request in self.requests.values()) < 10_000
        self.cut = rng.choice([1, 7, 100, 1 << 20] if is_small else [1000, 1 << 20])

    def run(self):
        end = time.monotonic() + TIMEOUT
        with self.socket:
            while not self.is_done():
                assert time.monotonic() < end, f"not done in {TIMEOUT} s"
                moved = self.step()
                if not moved:
                    self.open_windows()
                self.flush()
                if not moved or self.rng.random() < 0.3:
                    self.read(wait=not moved)
            for request in self.requests.values():
                if not request.cancelled:
                    request.check()
            self.client.close_connection()
            self.flush()
            self.socket.shutdown(socket.SHUT_WR)
            while self.socket.recv(1 << 16):
                pass

    def is_done(self):
        return self.pings == 0 and all(request.ended for request in self.requests.values())

    def step(self):
        """Does one thing. Returns whether there was something to do."""
        rng = self.rng
        if rng.random() < 0.15:
            self.control()
        able = [request for request in self.requests.values()
                if not request.all_sent and not request.ended and self.room(request)]
        if not able:
            return False
        # Streams begin in the order of their numbers.
        waiting = [request for request in able if not request.begun]
        request = rng.choice([request for request in able if request.begun] + waiting[:1])
        if not request.begun:
            request.begun = True
            request.all_sent = request.is_get
            self.client.send_headers(request.stream, request.head(), end_stream=request.is_get)
        elif request.cancelled and rng.random() < 0.5:
            request.all_sent = request.ended = True
            self.client.reset_stream(request.stream, 8)
        else:
            self.send_content(request)
        return True

    def room(self, request):
        if not request.begun or request.sent == len(request.content):
            return 1
        pad = 11 if request.padded else 0
        return max(0, self.client.local_flow_control_window(request.stream) - pad)

    def send_content(self, request):
        left = len(request.content) - request.sent
        size = min(left, self.room(request) if left else 0,
                   self.client.max_outbound_frame_size - 11, self.rng.choice([1, 1000, 1 << 20]))
        piece = request.content[request.sent:request.sent + size]
        request.sent += size
        is_last = request.sent == len(request.content)
        more = {"pad_length": self.rng.randrange(10)} if request.padded and piece else {}
        self.client.send_data(request.stream, piece,
                              end_stream=is_last and not request.trailers, **more)
        if is_last and request.trailers:
            self.client.send_headers(request.stream, [("x-sum", "1")], end_stream=True)
        request.all_sent = is_last

    def control(self):
        """A frame that belongs to no request."""
        rng, client = self.rng, self.client
        open_streams = self.open_streams()
        choice = rng.randrange(4)
        if choice == 0 and self.pings < 10:
            client.ping(rng.randbytes(8))
            self.pings += 1
        elif choice == 1 and self.changes < 10 and not self.unacknowledged:
            self.changes += 1
            self.unacknowledged = True
            client.update_settings(rng.choice([
                {SettingCodes.INITIAL_WINDOW_SIZE: rng.choice(WINDOWS[2:])},
                {SettingCodes.HEADER_TABLE_SIZE: rng.choice([0, 50, 4096])},
                {SettingCodes.MAX_FRAME_SIZE: 16_384}]))
        elif choice == 2 and open_streams:
            client.prioritize(rng.choice(open_streams), weight=rng.randint(1, 256))
        elif choice == 3 and open_streams:
            client.increment_flow_control_window(1000, rng.choice(open_streams + [None]))

    def open_windows(self):
        """Changes of the settings may have made windows negative, and h2 gives nothing back then."""
        for stream in self.open_streams():
            room = self.client.remote_flow_control_window(stream)
            if room <= 0:
                self.client.increment_flow_control_window(1000 - room, stream)

    def open_streams(self):
        return [request.stream for request in self.requests.values()
                if request.begun and not request.ended]

    def flush(self):
        data = self.client.data_to_send()
        for start in range(0, len(data), self.cut):
            self.socket.sendall(data[start:start + self.cut])

    def read(self, wait):
        self.socket.setblocking(wait)
        if wait:
            self.socket.settimeout(TIMEOUT)
        try:
            received = self.socket.recv(1 << 16)
        except BlockingIOError:
            return
        finally:
            self.socket.settimeout(TIMEOUT)
        assert received, "the server closed the connection"
        at = 0
        while at < len(received):
            end = at + self.rng.choice([1, 10, 1 << 16, 1 << 16])
            for event in self.client.receive_data(received[at:end]):
                self.note(event)
            at = end

    def note(self, event):
        request = self.requests.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.ResponseReceived):
            request.statuses.append(dict(event.headers)[b":status"])
        elif isinstance(event, h2.events.DataReceived):
            request.received += event.data
            self.client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            request.ended = True
        elif isinstance(event, h2.events.PingAckReceived):
            self.pings -= 1
        elif isinstance(event, h2.events.SettingsAcknowledged):
            self.unacknowledged = False
        elif isinstance(event, h2.events.StreamReset):
            assert request.cancelled, f"stream {event.stream_id} was reset: {event.error_code}"
        elif isinstance(event, h2.events.ConnectionTerminated):
            raise AssertionError(f"GOAWAY: {event.error_code}")
