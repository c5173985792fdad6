"""Stops the server: no request is lost on a connection that the server has or could have accepted."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import threading
import time

import lifecycle
from running import TIMEOUT, Served, expect, receive_all

CLIENTS = 6
STOPS = 20
LOAD = 0.2  # seconds of load before each stop
REQUEST = b"GET /hello.txt HTTP/1.1\r\nHost: localhost\r\n\r\n"
ANY_PORT = ("--listen", "127.0.0.1:0")


def run(checks, folder):
    with checks.check("stop: a suspended process answers the requests that arrived before SIGTERM"):
        paused(checks, folder)
    with checks.check("stop: a request within a second after SIGTERM is answered"):
        within_a_second(checks, folder)
    with checks.check("stop: SIGQUIT drains"), checks.start("echo", *ANY_PORT) as server:
        server.process.send_signal(signal.SIGQUIT)
        expect(server.process.wait(TIMEOUT), 0)
    with checks.check("stop: a second SIGTERM ends a server whose standard error nobody reads"):
        blocked(checks, folder)
    with checks.check("stop: the socket file of another server is not removed"):
        replaced(checks, folder)
    with checks.check(f"stop: {STOPS} under load lose no request"):
        under_load(checks, folder)
    with checks.check("stop: a rolling restart behind haproxy loses no request"):
        rolling(checks, folder)


def paused(checks, folder):
    with checks.start("http", folder.root, *ANY_PORT) as server:
        server.process.send_signal(signal.SIGSTOP)
        waiting = [server.connect() for _ in range(3)]
        for one in waiting:
            one.sendall(REQUEST)
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGCONT)
        for one in waiting:
            response = receive_all(one)
            # Either the workers or the signal's thread may continue first.
            assert response.startswith(b"HTTP/1.1 200 "), response
            assert response.endswith(b"\r\n\r\nHello World\n"), response
        expect(server.process.wait(TIMEOUT), 0)
        server.wait_for_output()
        expect(server.errors[-1], "Stopped: 0 connections cut.\n")


def within_a_second(checks, folder):
    with checks.start("http", folder.root, *ANY_PORT) as server, server.connect() as idle:
        server.process.send_signal(signal.SIGTERM)
        # The kernel may deliver a signal late.
        while True:
            idle.sendall(REQUEST)
            if b"\r\nConnection: close\r\n" in response_of(idle)[0]:
                break
        expect(idle.recv(1), b"")
        expect(server.process.wait(TIMEOUT), 0)


def blocked(checks, folder):
    reader, writer = os.pipe()
    words = ("http", folder.root, *ANY_PORT, "--access-log", "-", "--drain-timeout", "1h")
    process = subprocess.Popen([checks.binary, *map(str, words)], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=writer, text=True)
    os.close(writer)
    # Nobody reads the pipe that is the standard error.
    process.stderr = open(os.devnull)
    with Served(process) as server, contextlib.ExitStack() as stack:
        stack.callback(os.close, reader)
        with server.connect() as busy:
            for _ in range(2000):  # lines of 100 bytes; a pipe holds 64 KiB
                busy.sendall(REQUEST)
                busy.recv(1 << 16)
        slow = stack.enter_context(server.connect())
        slow.sendall(b"GET /big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n")
        slow.recv(1)
        process.send_signal(signal.SIGTERM)
        lifecycle.refused(server)
        process.send_signal(signal.SIGTERM)
        expect(process.wait(TIMEOUT), 128 + signal.SIGTERM)


def replaced(checks, folder):
    path = folder.parent / "stopped.socket"
    with checks.start("http", folder.root, "--listen", f"unix:{path}") as first:
        path.rename(folder.parent / "moved.socket")
        with checks.start("http", folder.root, "--listen", f"unix:{path}") as second:
            first.process.send_signal(signal.SIGTERM)
            expect(first.process.wait(TIMEOUT), 0)
            assert path.is_socket(), "it removed the file of the second server"
            second.process.send_signal(signal.SIGTERM)
            expect(second.process.wait(TIMEOUT), 0)
            assert not path.exists(), "its own file is left"


class Client(threading.Thread):
    """Makes requests on persistent connections, until the server refuses one or it is stopped."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address = address
        self.answered = 0
        self.lost = []
        self.stopping = False

    def run(self):
        while not self.stopping:
            try:
                connection = socket.create_connection(self.address, timeout=TIMEOUT)
            except ConnectionRefusedError:
                return
            with connection:
                self.use(connection)

    def use(self, connection):
        while not self.stopping:
            try:
                connection.sendall(REQUEST)
                head, content = response_of(connection)
            except (OSError, EOFError) as error:
                self.lost.append(repr(error))
                return
            if not head.startswith(b"HTTP/1.1 200 ") or content != b"Hello World\n":
                self.lost.append(repr(head[:40]))
                return
            self.answered += 1
            if b"\r\nconnection: close\r\n" in head.lower():
                return


def response_of(connection):
    """Reads one response. Returns its head and its content."""
    received = b""
    while b"\r\n\r\n" not in received:
        part = connection.recv(1 << 16)
        if not part:
            raise EOFError(f"ended after {received!r}")
        received += part
    head, content = received.split(b"\r\n\r\n", 1)
    head += b"\r\n"
    length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
    while len(content) < length:
        part = connection.recv(1 << 16)
        if not part:
            raise EOFError(f"ended after {content!r}")
        content += part
    return head, content


def under_load(checks, folder):
    answered, lost, cut = 0, [], 0
    for _ in range(STOPS):
        with checks.start("http", folder.root, *ANY_PORT) as server:
            clients = [Client(server.address) for _ in range(CLIENTS)]
            for client in clients:
                client.start()
            time.sleep(LOAD)
            server.process.send_signal(signal.SIGTERM)
            expect(server.process.wait(TIMEOUT), 0)
            for client in clients:
                client.join(TIMEOUT)
                answered += client.answered
                lost += client.lost
            server.wait_for_output()
            cut += "Stopped: 0 connections cut." not in server.errors[-1]
    print(f"      {answered} requests answered, {len(lost)} lost")
    assert answered > STOPS, "there was no load"
    expect((lost, cut), ([], 0))


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 20s
    timeout server 20s
    retries 3
    option redispatch 1
frontend front
    bind 127.0.0.1:{front}
    default_backend servers
backend servers
    http-reuse safe
    server first 127.0.0.1:{first}
    server second 127.0.0.1:{second}
"""


def rolling(checks, folder):
    if not shutil.which("haproxy"):
        apt = ["apt-get", "-qq"]
        subprocess.run([*apt, "update"], check=True)
        subprocess.run([*apt, "install", "-y", "--no-install-recommends", "haproxy"], check=True)
    front, *ports = free_ports(3)
    config = pathlib.Path(folder.parent) / "haproxy.cfg"
    config.write_text(HAPROXY.format(front=front, first=ports[0], second=ports[1]))
    with contextlib.ExitStack() as stack:
        start = lambda port: stack.enter_context(
            checks.start("http", folder.root, "--listen", f"127.0.0.1:{port}", "--lame-duck", "200ms"))
        servers = [start(port) for port in ports]
        haproxy = subprocess.Popen(["haproxy", "-db", "-f", str(config)],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        stack.callback(haproxy.wait)
        stack.callback(haproxy.kill)
        wait_for(front)
        clients = [Client(("127.0.0.1", front)) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        for _ in range(3):
            for at, port in enumerate(ports):
                servers[at].process.send_signal(signal.SIGTERM)
                expect(servers[at].process.wait(TIMEOUT), 0)
                servers[at] = start(port)
                before = [client.answered for client in clients]
                deadline = time.monotonic() + TIMEOUT
                while any(client.answered == count and client.is_alive()
                          for client, count in zip(clients, before)):
                    assert time.monotonic() < deadline, "the load has stopped"
                    time.sleep(0.01)
        for client in clients:
            client.stopping = True
        for client in clients:
            client.join(TIMEOUT)
        lost = [what for client in clients for what in client.lost]
        print(f"      {sum(client.answered for client in clients)} requests answered, "
              f"{len(lost)} lost")
        expect(lost, [])


def wait_for(port):
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT).close()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "haproxy does not listen"
            time.sleep(0.01)
