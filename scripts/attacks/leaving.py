"""Clients that disconnect from an event stream. A stream without output notices that late."""

import contextlib
import socket

from peers import connect, head, reset
from program import Program, until

CLIENTS = 20
SILENT = "3600"  # seconds between the stream's comments
ENDED = 15 + 10  # seconds from the end of input until the descriptors must be closed
RESET = 5


class StreamClients:
    """Clients of the event stream of one server. The object keeps their connections open."""

    def __init__(self, trials, cleanup):
        example = trials.root / "target/release/examples/http_events"
        if not example.is_file():
            raise FileNotFoundError(
                f"{example}: cargo build --release -p sockeye --example http_events builds it")
        server = cleanup.enter_context(
            Program(trials.directory, [example, "127.0.0.1:0", SILENT]))
        self.usage = server.usage
        self.before = self.usage.descriptors()
        self.clients = []
        for _ in range(CLIENTS):
            client = connect(server.address)
            cleanup.callback(client.close)
            self.clients.append(client)
            client.sendall(head("/events"))
            assert client.recv(4096).startswith(b"HTTP/1.1 200"), "no stream"

    def held(self):
        return self.usage.descriptors() - self.before


def close_sending_side(connection):
    connection.shutdown(socket.SHUT_WR)


def run(trials):
    ways = [("reset", reset, RESET), ("close", socket.socket.close, ENDED),
            ("close their sending side", close_sending_side, ENDED)]
    with contextlib.ExitStack() as cleanup:
        with trials.checked(f"leaving: {len(ways)} × {CLIENTS} listeners") as setup:
            groups = [StreamClients(trials, cleanup) for _ in ways]
        if setup.problems:
            return
        # All clients disconnect before the first check waits.
        for group, (_, leave, _) in zip(groups, ways):
            for client in group.clients:
                leave(client)
        for group, (name, _, timeout) in zip(groups, ways):
            with trials.checked(f"leaving: {CLIENTS} listeners {name}") as row:
                row.descriptors = group.held()
                until(lambda group=group: group.held() <= 0, timeout)
                row.after = group.held()
                assert row.after <= 0, f"{row.after} descriptors are still held {timeout} s later"
