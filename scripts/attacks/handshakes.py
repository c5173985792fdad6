"""TLS handshakes that never end, that send too much, or that are too many."""

import contextlib
import socket
import ssl
import threading
import time

from authority import Authority
from peers import ATTACKER, Victim, connect, fetch, reset
from program import until
from tls13 import hello
from trial import watched

HALF_OPEN = 1000  # connections of each kind
HALF_OPEN_MIB = 20  # growth of the resident memory for all connections of a kind
DEADLINE = 10  # seconds for a handshake
LATE = 5  # seconds that a busy machine may need in addition
SLOW = 20  # connections of each other attack
SECONDS = 5  # duration of the handshakes at once
THREADS = 4
CPU = 2  # maximum seconds of CPU time of the server for each of the attacks that send too much

RECORD = b"\x16\x03\x01"
CHANGE_CIPHER_SPEC = b"\x14\x03\x03\x00\x01\x01"
ENDLESS = 64 << 20  # bytes that an attacker tries to send


def record(content, kind=RECORD):
    return kind + len(content).to_bytes(2, "big") + content


@contextlib.contextmanager
def serving(trials, row):
    """A server over TLS, a context for its clients, and a victim that gets files meanwhile."""
    authority = Authority(trials.directory / "authority")
    tls = ssl.create_default_context(cafile=authority.certificate)
    with trials.http(*authority.flags()) as server:
        fetch(server.address, "/small.txt", tls=tls)
        victim = Victim(server.address, [("/small.txt", b"small\n", {})], tls=tls)
        with watched(row, server, victim):
            yield server, tls, victim


def run(trials):
    half_open(trials)
    too_much(trials)
    at_once(trials)


def bytewise(connection, tls):
    """A hello, a byte now and then, for longer than a handshake may take."""
    end = time.monotonic() + DEADLINE + LATE
    for byte in hello(tls):
        connection.sendall(bytes([byte]))
        time.sleep(0.1)
        assert time.monotonic() < end, f"open after {DEADLINE + LATE} s"


def bytes_in_records(connection, tls):
    """A good hello in records of one byte, and then nothing."""
    connection.sendall(b"".join(record(bytes([byte])) for byte in hello(tls)[5:]))


def half_open(trials):
    """Those that wait for the deadline, all at the same time."""
    with trials.checked(f"handshakes: 3 × {HALF_OPEN} half open, {2 * SLOW} slow") as row, \
            serving(trials, row) as (server, tls, _):
        sent = hello(tls)
        idle = server.usage.descriptors()
        held, grown, problems = [], {}, []
        for kind, content in (("silent", b""), ("half a hello", sent[:len(sent) // 2]),
                              ("a hello and silence", sent)):
            before = server.usage.resident()
            for _ in range(HALF_OPEN):
                connection = connect(server.address)
                connection.sendall(content)
                held.append(connection)
            wanted = idle + len(held)
            row.expect(until(lambda: server.usage.descriptors() >= wanted, LATE),
                       f"the server has only {server.usage.descriptors()} descriptors")
            if content == sent:
                held[-1].recv(1)  # all before it have their answer, too
            grown[kind] = server.usage.resident() - before
        row.expect(max(grown.values()) <= HALF_OPEN_MIB,
                   f"MiB for {HALF_OPEN} of a kind: {grown}; the limit is {HALF_OPEN_MIB}")
        print("        MiB: " + ", ".join(f"{mib:.1f} {kind}" for kind, mib in grown.items()))
        slow = [bytewise, bytes_in_records] * SLOW
        problems = in_threads(slow, lambda attack: closes(server.address, attack, tls))
        row.problems += sorted(set(problems))
        # The victim has a connection some of the time.
        gone = until(lambda: server.usage.descriptors() <= idle + 1, LATE)
        row.expect(gone, f"{server.usage.descriptors()} descriptors are left")
        for connection in held:
            reset(connection)


def too_much(trials):
    """Each attacker sends until the server closes its connection."""
    def endless(connection, _):
        # A hello that says it has 16 MiB.
        connection.sendall(record(b"\x01\xff\xff\xff" + bytes(1000)))
        repeat(connection, record(bytes(16384)))

    def large(connection, _):
        """Longer than a hello may be, with a right length."""
        size = 60_000
        content = b"\x01" + size.to_bytes(3, "big") + bytes(size)
        for start in range(0, len(content), 16384):
            connection.sendall(record(content[start:start + 16384]))
        repeat(connection, record(bytes(16384)))

    def repeat(connection, part):
        for _ in range(ENDLESS // len(part)):
            connection.sendall(part)
        raise AssertionError(f"the server took {ENDLESS} bytes")

    attacks = {
        "an endless hello": endless,
        "a hello of 60 KB": large,
        "empty records": lambda connection, _: repeat(connection, record(b"") * 1000),
        "warnings": lambda connection, _: repeat(
            connection, record(b"\x01\x5a", b"\x15\x03\x01") * 1000),
        "ChangeCipherSpec": lambda connection, tls: (
            connection.sendall(hello(tls)), repeat(connection, CHANGE_CIPHER_SPEC * 1000)),
        "garbage": lambda connection, _: repeat(connection, bytes(range(128, 256)) * 64),
    }
    for name, attack in attacks.items():
        with trials.checked(f"handshakes: {SLOW} × {name}") as row, \
                serving(trials, row) as (server, tls, _):
            before = server.usage.resident()
            problems = in_threads([attack] * SLOW,
                                  lambda attack: closes(server.address, attack, tls))
            row.problems += sorted(set(problems))
            row.expect(server.usage.peak() - before < HALF_OPEN_MIB,
                       f"{server.usage.peak() - before:.1f} MiB more")
        row.expect(row.seconds <= CPU, f"{row.seconds} CPU seconds; the limit is {CPU}")


def closes(address, attack, tls):
    """Runs an attack, which must end because the server closes the connection."""
    with connect(address) as connection:
        try:
            attack(connection, tls)
        except (ConnectionResetError, BrokenPipeError):
            return
        connection.settimeout(DEADLINE + LATE)
        while connection.recv(1 << 16):
            pass


def in_threads(work, do):
    """Runs `do` for each item of `work` on a thread of its own, and returns the exceptions as text."""
    problems = []

    def one(item):
        try:
            do(item)
        except Exception as error:
            problems.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=one, args=(item,), daemon=True) for item in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return problems


def at_once(trials):
    """The client pays nothing for a handshake: it sends always the same hello, and leaves when the
    server has signed."""
    with trials.checked("handshakes: as many as one client can") as row, \
            serving(trials, row) as (server, tls, victim):
        sent = hello(tls)
        end = time.monotonic() + SECONDS
        count = [0] * THREADS
        answered = victim.answered

        def shake(at):
            while time.monotonic() < end:
                with contextlib.suppress(OSError), socket.socket() as connection:
                    connection.bind((ATTACKER, 0))
                    connection.settimeout(5)
                    connection.connect(server.address)
                    connection.sendall(sent)
                    connection.recv(1 << 12)
                    count[at] += 1
                    reset(connection)

        row.problems += in_threads(range(THREADS), shake)
        print(f"        {sum(count) / SECONDS:,.0f} handshakes per second, and "
              f"{(victim.answered - answered) / SECONDS:.0f} of the victim's")
