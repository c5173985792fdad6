"""The two clients of every attack: one that attacks, and one whose requests must be answered."""

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
PATIENCE = 6  # seconds for one answer to the victim
SEGMENT = 1448
GIVES_UP = 2  # requests in a row without an answer


def connect(address, source=ATTACKER, window=None):
    """A connection from a source address. A small window leaves what is not read to the server, and
    segments of an Ethernet's size keep the kernel from holding much of it: those of the loopback
    would use up what it has for TCP, of which no server could do anything."""
    connection = socket.socket()
    try:
        if window:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
        connection.bind((source, 0))
        connection.settimeout(PATIENCE)
        connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection


def reset(connection):
    """Closes with a reset: what was not sent or read is thrown away on both sides."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def head(target, method="GET", **fields):
    """A request. A keyword's underscores are the field name's hyphens."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def ask_and_hold(address, requests, window=4096):
    """One connection for each of the given byte strings: sends it as far as the server takes it, and
    reads nothing."""
    held = []
    with selectors.DefaultSelector() as selector:
        for request in requests:
            try:
                connection = connect(address, window=window)
            except OSError:
                continue  # refused, or no room: the attack goes on with those that it has
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


def ask_and_hold_in_turn(address, requests, seconds=15):
    """As `ask_and_hold`, but each waits until the response before has begun, so that the server is
    never too busy to do what they ask for. Stops after that many seconds."""
    held = []
    end = time.monotonic() + seconds

    def hold(request):
        connection = connect(address, window=4096)
        held.append(connection)
        connection.sendall(request)
        connection.recv(64)

    _share(requests, hold, 1, end)
    return held


def ask_and_reset(address, requests, began=True):
    """One connection for each request; all are reset when they have been sent: at once, or after the
    server has begun with them."""
    if began:
        held = ask_and_hold(address, requests, window=None)
        # What comes behind them is answered, on one worker or the other.
        for _ in range(8):
            try:
                ask(address, "/small.txt", ATTACKER)
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


def ask_and_read(address, requests, seconds=6):
    """Asks on eight connections, and reads every response. Stops after that many seconds."""
    clients = threading.local()
    end = time.monotonic() + seconds

    def read(asked):
        method, target, fields = asked
        if not hasattr(clients, "own"):
            clients.own = http.client.HTTPConnection(
                *address, timeout=PATIENCE, source_address=(ATTACKER, 0))
        try:
            clients.own.request(method, target, headers=fields)
            clients.own.getresponse().read()
        except http.client.HTTPException:
            clients.own.close()

    _share(requests, read, 8, end)
    return []


def _share(work, do, threads, end):
    """Does all of some work with several threads, until an end. What fails is left."""
    waiting = iter(list(work))
    lock = threading.Lock()

    def one():
        while time.monotonic() < end:
            with lock:
                asked = next(waiting, None)
            if asked is None:
                return
            try:
                do(asked)
            except OSError:
                pass

    started = [threading.Thread(target=one, daemon=True) for _ in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()


def ask(address, target, source=VICTIM, method="GET", patience=PATIENCE, content=None, **fields):
    """One request on a connection of its own. Returns the status, the fields and the content,
    decompressed."""
    client = http.client.HTTPConnection(*address, timeout=patience, source_address=(source, 0))
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
    """Asks one request after the other until it is stopped, and checks status and content.

    A request is a triple: the target, the content that is right (or a function that says whether it
    is), and fields."""

    def __init__(self, address, requests, pause=0.01):
        super().__init__(daemon=True)
        self.address = address
        self.requests = itertools.cycle(requests)
        self.pause = pause
        self.asked = self.answered = 0
        self.slowest = 0.0
        self.wrong = []
        self._stopped = threading.Event()

    def run(self):
        in_a_row = 0
        while not self._stopped.is_set() and in_a_row < GIVES_UP:
            target, right, fields = next(self.requests)
            self.asked += 1
            began = time.monotonic()
            try:
                status, _, content = ask(self.address, target, **fields)
                if status != 200:
                    raise AssertionError(f"status {status}")
                if not (right(content) if callable(right) else content == right):
                    raise AssertionError(f"{len(content)} bytes that are wrong")
            except Exception as error:  # whatever it is, the victim has no answer
                in_a_row += 1
                self.wrong.append(f"{target}: {type(error).__name__}: {error}")
            else:
                in_a_row = 0
                self.answered += 1
            self.slowest = max(self.slowest, time.monotonic() - began)
            self._stopped.wait(self.pause)

    def wait_for(self, answers, patience):
        """Waits, for a bounded time, until it has asked so often, or has given up."""
        end = time.monotonic() + patience
        while self.is_alive() and self.asked <= answers and time.monotonic() < end:
            time.sleep(0.02)

    def stop(self):
        self._stopped.set()
        self.join(2 * PATIENCE)
