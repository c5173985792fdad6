"""Clients of an event stream that leave. A stream that has nothing to say notices it late."""

import socket
import subprocess

from peers import connect, head, reset
from program import Program, until

CLIENTS = 20
ENDED = 15 + 10  # seconds from the end of input until the descriptors must be back
RESET = 5


def example(trials):
    """The example, built where it is missing."""
    built = trials.root / "target/release/examples/http_events"
    if not built.is_file():
        subprocess.run(["cargo", "build", "--release", "--locked", "-p", "sockeye", "--example",
                        "http_events"], cwd=trials.root, check=True)
    return built


def run(trials):
    def half_close(connection):
        connection.shutdown(socket.SHUT_WR)

    for name, leave, patience in [("reset", reset, RESET),
                                  ("close", socket.socket.close, ENDED),
                                  ("end their side, and stay", half_close, ENDED)]:
        with trials.checked(f"leaving: {CLIENTS} listeners {name}") as row, \
                Program(trials.place, [example(trials), "127.0.0.1:0"]) as server:
            before = server.usage.descriptors()
            clients = []
            for _ in range(CLIENTS):
                client = connect(server.address)
                client.sendall(head("/events"))
                assert client.recv(4096).startswith(b"HTTP/1.1 200"), "no stream"
                clients.append(client)
            row.descriptors = server.usage.descriptors()
            for client in clients:
                leave(client)
            until(lambda: server.usage.descriptors() <= before, patience)
            left = server.usage.descriptors() - before
            for client in clients:
                client.close()
            assert left <= 0, f"{left} descriptors are still held {patience} s later"
