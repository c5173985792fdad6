"""Idle connections that use every connection that the server allows."""

import resource

from nginx import FILES, NGINX, Nginx
from peers import VICTIM, connect, fetch, head, reset

# Seconds in which a new client must be answered; less than the server's idle timeout.
NEW_CLIENT_TIMEOUT = 6
NEW_CLIENTS = 3


def fill(address, count, sent):
    """Opens connections that stay, after a response if `sent` is a request."""
    held = []
    for _ in range(count):
        try:
            connection = connect(address)
            held.append(connection)
            connection.settimeout(1)
            connection.sendall(sent)
            if sent.endswith(b"\r\n\r\n"):
                connection.recv(4096)
        except OSError:
            break  # the server accepts no more
    return held


def run(trials):
    request = head("/small.txt")
    for name, flags, limits, count, sent in [
        ("slots: 100 of 100, each answered once", ["--max-connections", "100"], [], 100, request),
        ("slots: 100 of 100, silent from the start", ["--max-connections", "100"], [], 100, b""),
        ("slots: 1,100 at 1,024 descriptors", [], [(resource.RLIMIT_NOFILE, 1024)], 1100, request),
    ]:
        with trials.checked(name) as row, trials.http(*flags, limits=limits) as server:
            check_new_clients(row, server, count, sent)
            row.descriptors = server.usage.descriptors()
    if NGINX:
        with trials.checked("slots: 100 of 100, each answered once", "nginx") as row, \
                Nginx(trials.directory, FILES, workers=1, connections=100,
                      root=trials.folder.root) as server:
            row.judged = False
            check_new_clients(row, server, 100, request)


def check_new_clients(row, server, count, sent):
    held = fill(server.address, count, sent)
    answered = 0
    try:
        for _ in range(NEW_CLIENTS):
            try:
                answer = fetch(server.address, "/small.txt", VICTIM, timeout=NEW_CLIENT_TIMEOUT)
            except OSError as error:
                row.problems.append(f"a new client, with {len(held)} connections: {error}")
                break
            if answer[::2] == (200, b"small\n"):
                answered += 1
            else:
                row.problems.append(f"a new client got {answer[0]}")
    finally:
        for connection in held:
            reset(connection)
    row.victim = f"{answered}/{NEW_CLIENTS}"
