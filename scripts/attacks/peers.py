"""The two clients of every attack: the attacker, and the victim, which must get its responses."""

import gzip
import http.client
import itertools
import selectors
import socket
import struct
import threading
import time

ATTACKER = "127.0.0.2"
VICTIM = "127.0.0.3"
TIMEOUT = 6  # seconds that either client waits for the server
SEGMENT = 1448
MAX_FAILURES = 2  # requests in a row without a response


def connect(address, source=ATTACKER, window=None):
    """A connection from a source address. With a small window, unread data stays in the server.
    Segments of Ethernet's size limit what the kernel buffers: the loopback's segments would exhaust
    the kernel's memory for TCP, against which no server can do anything."""
    connection = socket.socket()
    try:
        if window:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
        connection.bind((source, 0))
        connection.settimeout(TIMEOUT)
        connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection


def reset(connection):
    """Closes with a reset: this side discards unsent and unread data, the other what it has not sent."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def head(target, method="GET", **fields):
    """A request's head. An underscore in a keyword is a hyphen in the field name."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def send_and_hold(address, requests, window=4096):
    """Opens a connection for each byte string, sends as much of it as the server accepts, and reads
    nothing. Returns the connections."""
    held = []
    with selectors.DefaultSelector() as selector:
        for request in requests:
            try:
                connection = connect(address, window=window)
            except OSError:
                continue  # refused: the attack continues with the other connections
            connection.setblocking(False)
            held.append(connection)
            selector.register(connection, selectors.EVENT_WRITE, memoryview(request))
        while selector.get_map() and (ready := selector.select(0.5)):
            for key, _ in ready:
                try:
                    rest = key.data[key.fileobj.send(key.data[:16384]):]
                except OSError:
                    rest = b""
                if rest:
                    selector.modify(key.fileobj, selectors.EVENT_WRITE, rest)
                else:
                    selector.unregister(key.fileobj)
    return held


def send_and_hold_in_turn(address, requests, seconds=15):
    """Like `send_and_hold`, but each connection waits for the start of the previous response, so
    that the server is never too busy to handle it. Stops after `seconds`."""
    held = []
    end = time.monotonic() + seconds

    def hold(request):
        connection = connect(address, window=4096)
        held.append(connection)
        connection.sendall(request)
        connection.recv(64)

    _share(requests, hold, 1, end)
    return held


def send_and_reset(address, requests, began=True):
    """Opens a connection for each request and resets it: at once, or, with `began`, when the server
    has started to handle the requests."""
    if began:
        held = send_and_hold(address, requests, window=None)
        # When these are answered, every worker has probably seen the requests before them.
        for _ in range(8):
            try:
                fetch(address, "/small.txt", ATTACKER)
            except (OSError, http.client.HTTPException):
                pass
        for connection in held:
            reset(connection)
        return []
    for request in requests:
        try:
            connection = connect(address)
            connection.sendall(request)
        except OSError:
            continue
        reset(connection)
    return []


def send_and_read(address, requests, seconds=6):
    """Makes requests on eight connections, and reads every response. Stops after `seconds`."""
    clients = threading.local()
    end = time.monotonic() + seconds

    def read(request):
        method, target, fields = request
        if not hasattr(clients, "own"):
            clients.own = http.client.HTTPConnection(
                *address, timeout=TIMEOUT, source_address=(ATTACKER, 0))
        try:
            clients.own.request(method, target, headers=fields)
            clients.own.getresponse().read()
        except http.client.HTTPException:
            clients.own.close()

    _share(requests, read, 8, end)
    return []


def _share(work, do, threads, end):
    """Runs `do` for each item of `work` on several threads, until `end`. Ignores failures."""
    waiting = iter(list(work))
    lock = threading.Lock()

    def one():
        while time.monotonic() < end:
            with lock:
                request = next(waiting, None)
            if request is None:
                return
            try:
                do(request)
            except OSError:
                pass

    started = [threading.Thread(target=one, daemon=True) for _ in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()


def fetch(address, target, source=VICTIM, method="GET", timeout=TIMEOUT, content=None, tls=None,
          **fields):
    """Makes one request on a new connection, over TLS with a context `tls`. Returns the status, the
    fields and the decompressed content."""
    more = {"timeout": timeout, "source_address": (source, 0)}
    if tls:
        client = http.client.HTTPSConnection(*address, context=tls, **more)
    else:
        client = http.client.HTTPConnection(*address, **more)
    try:
        client.request(method, target, content, headers={
            "Connection": "close",
            **{name.replace("_", "-"): value for name, value in fields.items()}})
        response = client.getresponse()
        content = response.read()
    finally:
        client.close()
    if response.getheader("Content-Encoding") == "gzip":
        content = gzip.decompress(content)
    return response.status, response.headers, content


class Victim(threading.Thread):
    """Makes one request after the other until it is stopped, and checks status and content.

    A request is a triple: the target, the expected content (or a function that checks it), and
    fields. `get` makes it, as `fetch` does."""

    def __init__(self, address, requests, pause=0.01, tls=None, get=fetch):
        super().__init__(daemon=True)
        self.address = address
        self.tls = tls
        self.get = get
        self.requests = itertools.cycle(requests)
        self.pause = pause
        self.requests_made = self.answered = 0
        self.slowest = 0.0
        self.wrong = []
        self._stopped = threading.Event()

    def run(self):
        in_a_row = 0
        while not self._stopped.is_set() and in_a_row < MAX_FAILURES:
            target, right, fields = next(self.requests)
            self.requests_made += 1
            began = time.monotonic()
            try:
                status, _, content = self.get(self.address, target, tls=self.tls, **fields)
                if status != 200:
                    raise AssertionError(f"status {status}")
                if not (right(content) if callable(right) else content == right):
                    raise AssertionError(f"{len(content)} unexpected bytes")
            except Exception as error:  # whatever the error, the victim has no response
                in_a_row += 1
                self.wrong.append(f"{target}: {type(error).__name__}: {error}")
            else:
                in_a_row = 0
                self.answered += 1
            self.slowest = max(self.slowest, time.monotonic() - began)
            self._stopped.wait(self.pause)

    def wait_for(self, count, timeout):
        """Waits until more than `count` requests were made or the victim stopped."""
        end = time.monotonic() + timeout
        while self.is_alive() and self.requests_made <= count and time.monotonic() < end:
            time.sleep(0.02)

    def stop(self):
        self._stopped.set()
        self.join(2 * TIMEOUT)
