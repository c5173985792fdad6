"""Runs an attack over HTTP/2 or WebSocket on one or more connections, and checks how they end and what
they cost."""

import collections
import contextlib
import dataclasses

import http2
from handshakes import in_threads
from peers import ATTACKER, Victim, reset
from program import until
from trial import watched

LATE = 5  # seconds that a busy machine may need in addition
# How to run attacks that the server has to end.
ENDED = {"quiet": LATE, "patience": LATE, "seconds": 20}
# How a connection may end that the server has found to be abusive.
CALM = frozenset(["closed ENHANCE_YOUR_CALM", "reset ENHANCE_YOUR_CALM"])
OPEN = frozenset(["open"])
# Of WebSockets, by codes of the log.
CLOSE_CODES = {
    "websocket_protocol_error": "1002",
    "websocket_invalid_data": "1007",
    "websocket_too_many_fragments": "1008",
    "websocket_message_too_large": "1009",
    "websocket_over_budget": "1013",
}
# The server reads no more, because the client doesn't read either.
STALLED = frozenset(["stalled"])


def ends(*codes):
    """How a connection may end, by GOAWAY with one of these error codes."""
    return frozenset(f"{state} {code}" for code in codes for state in ("closed", "reset"))


@dataclasses.dataclass
class Bounds:
    """What the server may use for an attack. None: not checked."""

    grown: float | None = 20  # MiB of resident memory at its peak, more than before
    seconds: float | None = 2  # of CPU time
    descriptors: int | None = None  # more than before
    jobs: int | None = None  # of the attacker
    sent: int | None = None  # bytes that it takes from one connection


@contextlib.contextmanager
def serving(trials, row, bounds, *flags, start=None, victim=None, tls=None):
    """A server, and a victim that gets a file over HTTP/2 meanwhile. `start()` starts another server,
    and `victim(address)` is its victim. `tls` is the context of their clients."""
    with start() if start else trials.http(*flags) as server:
        if not until(lambda: _speaks(server.address, tls), LATE):
            raise RuntimeError("the server doesn't speak HTTP/2")
        victim = victim(server.address) if victim else Victim(
            server.address, [("/small.txt", b"small\n", {})], tls=tls, get=http2.fetch)
        before, descriptors = server.usage.resident(), server.usage.descriptors()
        with watched(row, server, victim):
            yield server
        for what, actual, limit in [
            ("MiB more at the peak", server.usage.peak() - before, bounds.grown),
            ("CPU seconds", row.seconds, bounds.seconds),
            # The victim has one.
            ("descriptors more", row.descriptors - descriptors - 1, bounds.descriptors),
            ("jobs", server.jobs(ATTACKER), bounds.jobs),
        ]:
            row.expect(limit is None or actual <= limit,
                       f"{actual:.1f} {what}; the limit is {limit}")
        row.jobs = server.jobs(ATTACKER)


def _speaks(address, tls):
    try:
        return http2.fetch(address, "/", tls=tls)[0]
    except OSError:
        return 0


def attack(trials, name, kinds, bounds=Bounds(), connections=1, pairs=(), flags=(), window=None,
           preface=True, check=None, serves=None, wire="HTTP/2", make=http2.Client,
           logs=True, **how):
    """Runs attacks of several kinds at the same time: `kinds` has pairs by their names. The first is
    called with a client, and returns the bytes to send, in chunks, and perhaps a function that gets
    frames: see `Client.run`, which gets `how`, too. The second has the ways in which the connection
    may end. Each kind has `connections` with settings `pairs`, from an address of its own, because
    the log has ten lines of a kind for an address. `check(row, outcomes)` checks more. `serves` has
    more arguments of `serving`. `make` makes a client of `wire`. `logs`: the log must say
    why each connection was closed."""
    with trials.checked(f"{wire}: {name}") as row, \
            serving(trials, row, bounds, *flags, **serves or {}) as server:
        clients = {
            kind: [make(server.address, *pairs, window=window, preface=preface,
                        source=f"127.0.1.{at}" if at else ATTACKER, tls=(serves or {}).get("tls"))
                   for _ in range(connections)]
            for at, kind in enumerate(kinds)}

        def one(work):
            act, client = work
            acts = act(client)
            chunks, on_frame = acts if isinstance(acts, tuple) else (acts, None)
            client.run(chunks, on_frame=on_frame, **how)

        row.problems += in_threads(
            [(kinds[kind][0], client) for kind, of_kind in clients.items() for client in of_kind], one)
        for kind, of_kind in clients.items():
            judge(row, server, of_kind, kinds[kind][1], kind, logs)
        outcomes = [client.outcome for of_kind in clients.values() for client in of_kind]
        if bounds.sent is not None:
            most = max(outcome.sent for outcome in outcomes)
            row.expect(most <= bounds.sent, f"took {most:,} bytes; the limit is {bounds.sent:,}")
        if check:
            check(row, outcomes)


def judge(row, server, clients, ending, kind="", logs=True):
    """Closes connections, and checks how they had ended, and that the log says why. The server logs
    that when the client has closed its side, too."""
    found = collections.Counter()
    for client in clients:
        with contextlib.suppress(OSError):
            reset(client.socket)
    over = [client for client in clients if client.outcome.is_over()]
    if logs:
        until(lambda: all(server.closing(client.source, client.port)[0] for client in over), LATE)
    for client in clients:
        reason = ""
        if client.outcome.is_over():
            code, reason = server.closing(client.source, client.port)
            if client.outcome.state == "reset" and not client.outcome.goaway:
                client.outcome.goaway = logged(code)
            row.expect(code or not logs, f"{kind}: the log doesn't say why it was closed")
            reason = f", {code}: {reason}" if code else ""
        found[f"{client.outcome}{reason}"] += 1
        row.expect(str(client.outcome) in ending,
                   f"{kind}: {client.outcome} instead of {' or '.join(sorted(ending))}")
    row.problems = list(dict.fromkeys(row.problems))
    outcomes = [client.outcome for client in clients]
    took = max(outcome.seconds for outcome in outcomes)
    sent = max(outcome.sent for outcome in outcomes)
    if kind:
        print(f"      {kind}")
    for how, count in found.items():
        print(f"        {count} × {how}")
    print(f"        after at most {took:.2f} s and {sent:,} bytes; " + "; ".join(
        f"{what} {dict(total)}" for what, total in (
            ("statuses", sum((outcome.statuses for outcome in outcomes), collections.Counter())),
            ("resets", sum((outcome.resets for outcome in outcomes), collections.Counter())))
        if total))


def logged(code):
    """The error code of the GOAWAY, or the code of the close frame, that belongs to a code of the log.
    A reset of the connection can overtake either."""
    if code in CLOSE_CODES:
        return CLOSE_CODES[code]
    name = code.removeprefix("http2_").upper()
    if code.startswith("http2_"):
        return name if name in http2.ERRORS else "ENHANCE_YOUR_CALM"
    return ""
