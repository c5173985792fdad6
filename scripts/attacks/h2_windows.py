"""HTTP/2: clients that take a response a byte at a time, or never."""

import itertools
import os

import http2
from h2_trial import CALM, LATE, OPEN, Bounds, attack, ends, judge, serving
from handshakes import in_threads
from http2 import DATA, INITIAL_WINDOW_SIZE, WINDOW, request, streams, window_update

STREAMS = 100
CONNECTIONS = 100
WRITE_TIMEOUT = 2
# Open files at most: 512 of the budget, 256 in the cache of each worker, and those of jobs.
FILES = 512 + 256 * (os.cpu_count() or 1) + 32
MIB = 64  # for 100 connections, of which each wants 100 files of 32 MiB


def run(trials):
    single(trials)
    slow(trials)


def single(trials):
    """A window of 1: every byte is a frame, and an update lets the next one go."""
    target = trials.folder.large[0]

    def act(client):
        def give(got):
            return window_update(1, got.stream) + window_update(1) if got.kind == DATA else b""
        return [b"".join(request(stream, target) for stream in streams(STREAMS))], give

    attack(trials, "windows: 1 byte, and updates by 1", {"": (act, CALM | OPEN)}, Bounds(seconds=4),
           pairs=[(INITIAL_WINDOW_SIZE, 1)], seconds=4)


def slow(trials):
    """Clients that take nothing of large files. What the server holds is limited, and not for ever."""
    wholes = itertools.cycle(trials.folder.large)
    for name, pairs in [("no stream may send", [(INITIAL_WINDOW_SIZE, 0)]),
                        ("the connection may not send", [(INITIAL_WINDOW_SIZE, WINDOW)])]:
        bounds = Bounds(grown=MIB, seconds=6, descriptors=CONNECTIONS + FILES)
        with trials.checked(f"HTTP/2: windows: {CONNECTIONS} × {STREAMS} files, {name}") as row, \
                serving(trials, row, bounds, "--write-timeout", f"{WRITE_TIMEOUT}s") as server:
            clients = [http2.Client(server.address, *pairs) for _ in range(CONNECTIONS)]
            sent = [b"".join(request(stream, next(wholes)) for stream in streams(STREAMS))
                    for _ in clients]
            row.problems += in_threads(
                zip(clients, sent), lambda one: one[0].run(
                    [one[1]], quiet=WRITE_TIMEOUT + LATE, seconds=WRITE_TIMEOUT + LATE,
                    until=lambda _: len(one[0].outcome.over) == STREAMS))
            for client in clients:
                row.expect(len(client.outcome.over) == STREAMS or client.outcome.is_over(),
                           "streams are held for longer than the time to write")
            judge(row, server, clients, OPEN | CALM | ends("NO_ERROR"))
