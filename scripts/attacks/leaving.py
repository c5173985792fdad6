"""Clients of an event stream that leave. A silent stream notices that late."""

import contextlib
import socket

from peers import connect, head, reset
from program import Program, until

CLIENTS = 20
SILENT = "3600"  # seconds between the stream's comments
ENDED = 15 + 10  # seconds from the end of input until the descriptors must be closed
RESET = 5


class Listeners:
    """Listeners of one server. This references their connections, so that Python closes none."""

    def __init__(self, trials, at_the_end):
        example = trials.root / "target/release/examples/http_events"
        if not example.is_file():
            raise FileNotFoundError(
                f"{example}: cargo build --release -p sockeye --example http_events builds it")
        server = at_the_end.enter_context(Program(trials.place, [example, "127.0.0.1:0", SILENT]))
        self.usage = server.usage
        self.before = self.usage.descriptors()
        self.clients = []
        for _ in range(CLIENTS):
            client = connect(server.address)
            at_the_end.callback(client.close)
            self.clients.append(client)
            client.sendall(head("/events"))
            assert client.recv(4096).startswith(b"HTTP/1.1 200"), "no stream"

    def held(self):
        return self.usage.descriptors() - self.before


def end_their_side(connection):
    connection.shutdown(socket.SHUT_WR)


def run(trials):
    ways = [("reset", reset, RESET), ("close", socket.socket.close, ENDED),
            ("end their side, and stay", end_their_side, ENDED)]
    with contextlib.ExitStack() as at_the_end:
        with trials.checked(f"leaving: {len(ways)} × {CLIENTS} listeners") as setup:
            groups = [Listeners(trials, at_the_end) for _ in ways]
        if setup.problems:
            return
        # All leave before this waits for the first.
        for group, (_, leave, _) in zip(groups, ways):
            for client in group.clients:
                leave(client)
        for group, (name, _, patience) in zip(groups, ways):
            with trials.checked(f"leaving: {CLIENTS} listeners {name}") as row:
                row.descriptors = group.held()
                until(lambda group=group: group.held() <= 0, patience)
                row.after = group.held()
                assert row.after <= 0, f"{row.after} descriptors are still held {patience} s later"
