"""Clients and a server of others that speak WebSocket, run by `scripts/foreign-websocket` in a virtual
environment: websockets, wsproto, and wsproto over h2 (RFC 8441).

    websocket_peers.py CLIENT SERVICE HOST PORT [CA]
    websocket_peers.py server                           prints its port, and echoes
"""

import json
import random
import socket
import ssl
import sys

import h2.config
import h2.connection
import h2.events
import websockets.sync.client
import websockets.sync.server
import wsproto
import wsproto.connection
import wsproto.events as events
from wsproto.extensions import PerMessageDeflate

TIMEOUT = 20
SIZES = [0, 1, 125, 126, 1000, 65_535, 65_536, 300_000]
LETTERS = "Grüße, 🐶 €"
ROUNDS = 30
ASKED = {"action": "search", "value": "ring"}


def messages():
    """Text and bytes, of all forms of lengths."""
    rng = random.Random(1)
    for size in SIZES:
        yield rng.randbytes(size)
        # Text that repeats itself would be compressed by more than is allowed.
        yield "".join(rng.choices(LETTERS, k=size))


def asked(number):
    return json.dumps({"id": number}) + "\n" + json.dumps(ASKED)


def check_answer(text, number):
    head, _, content = text.partition("\n")
    assert json.loads(head) == {"id": number}, head
    assert "Misty Mountains" in json.loads(content)["result"], content


def tls(ca, *protocols):
    context = ssl.create_default_context(cafile=ca)
    if protocols:
        context.set_alpn_protocols(protocols)
    return context


def with_websockets(service, host, port, ca):
    url = f"{'wss' if ca else 'ws'}://{host}:{port}/"
    with websockets.sync.client.connect(url, ssl=tls(ca) if ca else None, max_size=None,
                                        open_timeout=TIMEOUT) as client:
        if service == "message":
            for number in range(ROUNDS):
                client.send(asked(number))
            left = set(range(ROUNDS))
            while left:
                text = client.recv(TIMEOUT)
                number = json.loads(text.partition("\n")[0])["id"]
                check_answer(text, number)
                left.remove(number)
            return
        extensions = client.response.headers.get("Sec-WebSocket-Extensions", "")
        assert (service == "deflate") == ("permessage-deflate" in extensions), extensions
        for message in messages():
            client.send(message)
            assert client.recv(TIMEOUT) == message
            # The same in fragments.
            client.send(message[at:at + 1000] for at in range(0, max(1, len(message)), 1000))
            assert client.recv(TIMEOUT) == message
        assert client.ping(b"are you there?").wait(TIMEOUT)
        client.close(3000, "enough")
        assert client.close_code == 3000, client.close_code


class Sans:
    """A WebSocket of wsproto, over what `send` and `receive` move."""

    def __init__(self, connection, send, receive):
        self.connection, self.send_bytes, self.receive_bytes = connection, send, receive
        self.events = []

    def send(self, event):
        self.send_bytes(self.connection.send(event))

    def next(self):
        while not self.events:
            received = self.receive_bytes()
            assert received is None or received, "the connection has ended"
            self.connection.receive_data(received)
            self.events += self.connection.events()
        return self.events.pop(0)

    def message(self):
        """The next message, whole."""
        parts = []
        while True:
            event = self.next()
            if isinstance(event, events.Ping):
                self.send(event.response())
                continue
            assert isinstance(event, events.Message), event
            parts.append(event.data)
            if event.message_finished:
                return parts[0][:0].join(map(type(parts[0]), parts))

    def exercise(self, service):
        if service == "message":
            for number in range(ROUNDS):
                self.send(events.TextMessage(asked(number)))
            left = set(range(ROUNDS))
            while left:
                text = self.message()
                number = json.loads(text.partition("\n")[0])["id"]
                check_answer(text, number)
                left.remove(number)
        else:
            for message in messages():
                kind = events.TextMessage if isinstance(message, str) else events.BytesMessage
                self.send(kind(message))
                back = self.message()
                assert back == message, f"{len(back)} instead of {len(message)}"
            self.send(events.Ping(b"are you there?"))
            pong = self.next()
            assert isinstance(pong, events.Pong) and bytes(pong.payload) == b"are you there?", pong
        self.send(events.CloseConnection(3000, "enough"))
        closed = self.next()
        assert isinstance(closed, events.CloseConnection) and closed.code == 3000, closed


def connected(host, port, ca, *protocols):
    stream = socket.create_connection((host, port), TIMEOUT)
    if ca:
        stream = tls(ca, *protocols).wrap_socket(stream, server_hostname=host)
    return stream


def with_wsproto(service, host, port, ca):
    stream = connected(host, port, ca)
    connection = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
    side = Sans(connection, stream.sendall, lambda: stream.recv(1 << 16) or None)
    extensions = [PerMessageDeflate()] if service == "deflate" else []
    side.send(events.Request(host=f"{host}:{port}", target="/", extensions=extensions))
    accepted = side.next()
    assert isinstance(accepted, events.AcceptConnection), accepted
    assert len(accepted.extensions) == len(extensions), accepted
    side.exercise(service)
    assert not stream.recv(1), "the server closes the connection"


class Stream:
    """A stream of h2, after an extended CONNECT."""

    def __init__(self, stream, host, port, scheme, extensions):
        self.socket = stream
        self.client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.client.initiate_connection()
        self.flush()
        self.received, self.ended, self.status = [], False, None
        while self.client.remote_settings.enable_connect_protocol != 1:
            self.take()
        fields = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", scheme),
                  (":path", "/"), (":authority", f"{host}:{port}"), ("sec-websocket-version", "13")]
        if extensions:
            fields.append(("sec-websocket-extensions", extensions))
        self.client.send_headers(1, fields)
        self.flush()
        while self.status is None:
            self.take()

    def flush(self):
        self.socket.sendall(self.client.data_to_send())

    def take(self):
        received = self.socket.recv(1 << 16)
        assert received, "the connection has ended"
        for event in self.client.receive_data(received):
            if isinstance(event, h2.events.ResponseReceived):
                self.status = dict(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                self.received.append(event.data)
                self.client.acknowledge_received_data(event.flow_controlled_length, 1)
            elif isinstance(event, h2.events.StreamEnded):
                self.ended = True
            elif isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
                raise AssertionError(event)
        self.flush()

    def send(self, data):
        while data:
            size = min(self.client.local_flow_control_window(1), 16_384, len(data))
            if size <= 0:
                self.take()
                continue
            self.client.send_data(1, data[:size])
            data = data[size:]
            self.flush()

    def receive(self):
        while not self.received and not self.ended:
            self.take()
        return self.received.pop(0) if self.received else None


def with_h2(service, host, port, ca):
    stream = connected(host, port, ca, "h2")
    extension = PerMessageDeflate()
    offer = extension.offer() if service == "deflate" else ""
    if offer is True:
        offer = ""
    offered = f"permessage-deflate; {offer}".rstrip("; ") if service == "deflate" else ""
    tunnel = Stream(stream, host, port, "https" if ca else "http", offered)
    assert tunnel.status[":status"] == "200", tunnel.status
    assert "sec-websocket-accept" not in tunnel.status
    extensions = []
    if service == "deflate":
        extension.finalize(tunnel.status["sec-websocket-extensions"])
        extensions = [extension]
    connection = wsproto.connection.Connection(wsproto.ConnectionType.CLIENT, extensions)
    Sans(connection, tunnel.send, tunnel.receive).exercise(service)
    # Both sides have sent a close frame: the server ends the stream, not the connection.
    while not tunnel.ended:
        tunnel.take()
    tunnel.client.ping(b"12345678")
    tunnel.flush()
    tunnel.take()


def serve():
    def echo(socket):
        for message in socket:
            socket.send(message)

    with websockets.sync.server.serve(echo, "127.0.0.1", 0, max_size=None) as server:
        print(server.socket.getsockname()[1], flush=True)
        server.serve_forever()


CLIENTS = {"websockets": with_websockets, "wsproto": with_wsproto, "h2": with_h2}
if sys.argv[1] == "server":
    serve()
else:
    client, service, host, port, *ca = sys.argv[1:]
    CLIENTS[client](service, host, int(port), ca[0] if ca else None)
