"""HTTP/2: more streams than the server allows, uploads that stall or are too large, streams that are
cancelled, and clients that say that they leave and don't."""

import http2
from h2_trial import CALM, OPEN, STALLED, Bounds, attack, ends, judge, serving
from http2 import (
    DATA, END_STREAM, GOAWAY, INITIAL_WINDOW_SIZE, PING, frame, number, request, rst_stream, streams)
from peers import ATTACKER, Victim
from trial import IN_FLIGHT
from with_messages import RIGHT, SEARCH

LIMIT = 100  # streams at once
CONNECTIONS = 10
PART = 16_384
# MiB of messages of one client: half of the budget, and 64 KiB of each that aren't counted.
HELD = 128 + 64 + 10


def run(trials):
    too_many(trials)
    uploads(trials)
    messages(trials)
    cancelled(trials)
    leaving(trials)


def too_many(trials):
    """Streams that stay open, ten times as many as are allowed."""
    def limited(row, outcomes):
        for outcome in outcomes:
            answered = sum(outcome.statuses.values())
            row.expect(answered <= LIMIT, f"{answered} streams at once are answered")
            row.expect(outcome.is_over() or outcome.resets["REFUSED_STREAM"] >= 9 * LIMIT - 50,
                       f"resets: {dict(outcome.resets)}")

    target = trials.folder.large[0]
    attack(trials, "streams: 1,000 at once",
           {"": (lambda _: (request(stream, target) for stream in streams(10 * LIMIT)), OPEN | CALM)},
           Bounds(descriptors=2 * CONNECTIONS + 5), CONNECTIONS,
           pairs=[(INITIAL_WINDOW_SIZE, 0)], check=limited)
    attack(trials, "streams: 1,000 uploads at once",
           {"": (lambda _: (request(stream, "/small.txt", "POST", ends=False)
                            for stream in streams(10 * LIMIT)), OPEN | CALM)},
           Bounds(), CONNECTIONS)


def uploads(trials):
    """Content that nobody reads, from 10 connections of 100 streams."""
    def whole(size, ends_it):
        for stream in streams(LIMIT):
            yield request(stream, "/small.txt", "POST", ends=False)
        for _ in range(size // PART):
            for stream in streams(LIMIT):
                yield frame(DATA, bytes(PART), 0, stream)
        if ends_it:
            for stream in streams(LIMIT):
                yield frame(DATA, b"", END_STREAM, stream)

    ending = OPEN | CALM | ends("FLOW_CONTROL_ERROR", "STREAM_CLOSED", "PROTOCOL_ERROR")
    attack(trials, f"uploads: {LIMIT} on each connection", {
        "that stall": (lambda _: whole(PART, False), ending),
        "beyond all windows": (lambda _: whole(4 << 20, True), ending),
    }, Bounds(grown=32, seconds=4), CONNECTIONS)


def messages(trials):
    """Content that a handler collects: what all clients hold is limited."""
    fields = [("content-type", "text/json")]

    def begun(size):
        for stream in streams(LIMIT):
            yield request(stream, "/", "POST", fields, ends=False)
        for _ in range(size // PART):
            for stream in streams(LIMIT):
                yield frame(DATA, b" " * PART, 0, stream)

    serves = {
        "start": lambda: trials.start("message", "--listen", "127.0.0.1:0", "--log", "debug"),
        "victim": lambda address: Victim(address, [("/", RIGHT, {
            "method": "POST", "content": SEARCH, "Content_Type": "text/json"})]),
    }
    for size in (3 * PART, 16 * PART):
        # The second kind is 250 MiB.
        attack(trials, f"uploads: {LIMIT} messages of which {size >> 10} KiB have come",
               {"": (lambda _: begun(size), OPEN | STALLED | CALM | ends("FLOW_CONTROL_ERROR"))},
               Bounds(grown=HELD, seconds=6), CONNECTIONS, serves=serves, seconds=4)


def cancelled(trials):
    """Streams that are reset at once, on a connection that stays: their jobs must not begin."""
    kinds = {
        "missing files": ([f"/none-{number}" for number in range(LIMIT)], []),
        "files that were never read": (trials.folder.files[:LIMIT], []),
        "texts to be compressed": (trials.folder.small_texts, [("accept-encoding", "br")]),
    }
    for name, (targets, fields) in kinds.items():
        bounds = Bounds(grown=100, seconds=6)
        with trials.checked(f"HTTP/2: streams: {name}, then reset") as row, \
                serving(trials, row, bounds) as server:
            client = http2.Client(server.address)
            asked = list(zip(streams(LIMIT), targets))
            sent = [request(stream, target, fields=fields) for stream, target in asked]
            resets = [rst_stream(stream) for stream, _ in asked]
            # The answer to the PING says that the resets have been seen.
            client.run([*sent, *resets, frame(PING, bytes(8))],
                       until=lambda got: got.kind == PING and got.flags)
            position = server.position()
            server.usage.wait_until_quiet(5)
            row.jobs = server.jobs(ATTACKER, position)
            row.expect(row.jobs <= IN_FLIGHT, f"{row.jobs} jobs began after the streams were reset")
            judge(row, server, [client], OPEN | CALM)


def leaving(trials):
    goaway = frame(GOAWAY, number(0) + number(0))
    attack(trials, "GOAWAY", {
        name: (lambda _, first=first: (first if at == 0 else request(2 * at - 1)
                                       for at in range(LIMIT)),
               OPEN | CALM | ends("NO_ERROR", "PROTOCOL_ERROR") | {"closed"})
        for name, first in [("and more requests", goaway), ("1,000 times", goaway * 1000)]
    }, Bounds(), CONNECTIONS)
