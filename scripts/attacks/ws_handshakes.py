"""WebSocket: requests that open nothing, in floods, and handshakes that never end."""

import http.client

import http2
from h2_trial import LATE, Bounds, judge
from handshakes import in_threads
from peers import ATTACKER, Victim, connect, head
from trial import watched
from websocket import fetch, upgrade

FLOOD = 2000  # requests of each kind
CONNECTIONS = 200  # of each kind
TIMEOUT = 10  # seconds for a head
ENDS = frozenset(["closed", "reset"])


def run(trials):
    floods(trials)
    half_open(trials)


def serve(trials, *flags):
    return trials.start("echo", "--websocket", "--listen", "127.0.0.1:0", "--log", "debug", *flags)


def victim_of(server):
    return Victim(server.address, [("/", b"echo", {})], get=fetch)


def refused():
    """Requests, and the status that each must get."""
    post = head("/", "POST", Connection="Upgrade", Upgrade="websocket", Content_Length="0",
                Sec_WebSocket_Version="13", Sec_WebSocket_Key="AAAAAAAAAAAAAAAAAAAAAA==")
    return {
        "no key": (upgrade(Sec_WebSocket_Key=None), 400),
        "an empty key": (upgrade(Sec_WebSocket_Key=""), 400),
        "a key of 15 bytes": (upgrade(Sec_WebSocket_Key="AAAAAAAAAAAAAAAAAAAA"), 400),
        "a key that isn't base64": (upgrade(Sec_WebSocket_Key="!" * 24), 400),
        "a key of 4 KB": (upgrade(Sec_WebSocket_Key="A" * 4096), 400),
        "version 8": (upgrade(Sec_WebSocket_Version="8"), 400),
        "no version": (upgrade(Sec_WebSocket_Version=None), 400),
        "another origin": (upgrade(Origin="http://elsewhere.example"), 403),
        "a null origin": (upgrade(Origin="null"), 403),
        "another protocol": (upgrade(Upgrade="tcp"), 400),
        "no Connection: Upgrade": (upgrade(Connection="close"), 400),
        "POST": (post, 405),
        "no upgrade": (head("/"), 400),
    }


def floods(trials):
    """Requests that are refused, again and again, by clients that read the responses."""
    with trials.checked(f"WebSocket: {FLOOD:,} × each refused handshake") as row, \
            serve(trials) as server:
        before = server.usage.resident()
        with watched(row, server, victim_of(server)):

            def one(work):
                name, (request, right) = work
                client, done = None, 0
                while done < FLOOD:
                    client = client or connect(server.address)
                    client.sendall(request)
                    response = http.client.HTTPResponse(client)
                    response.begin()
                    response.read()
                    assert response.status == right, f"{name}: {response.status} and not {right}"
                    done += 1
                    if response.will_close:
                        client.close()
                        client = None
                if client:
                    client.close()

            row.problems += in_threads(refused().items(), one)
        grown = server.usage.peak() - before
        row.expect(grown < 20, f"{grown:.1f} MiB more")
        # Without a log of each.
        size = server.position()
        row.expect(size < 1 << 20, f"{size:,} bytes of log")


def half_open(trials):
    """Requests that never end. A head has its time."""
    whole = upgrade()
    kinds = {
        "a line": whole[:16],
        "all but for the last byte": whole[:-1],
        "fields without an end": whole[:-2] + b"X-More: 1\r\n" * 50,
    }
    with trials.checked(f"WebSocket: {CONNECTIONS} × each half-open handshake") as row, \
            serve(trials) as server:
        before = server.usage.resident()
        with watched(row, server, victim_of(server)):
            clients = {name: [http2.Client(server.address, preface=False,
                                           source=f"127.0.1.{at}" if at else ATTACKER)
                              for _ in range(CONNECTIONS)] for at, name in enumerate(kinds)}
            row.problems += in_threads(
                [(kinds[name], client) for name in kinds for client in clients[name]],
                lambda work: work[1].run([work[0]], quiet=TIMEOUT + LATE, seconds=TIMEOUT + LATE))
            for name in kinds:
                over = sum(client.outcome.is_over() for client in clients[name])
                row.expect(over == CONNECTIONS, f"{name}: {CONNECTIONS - over} are still open")
                judge(row, server, clients[name][:10], ENDS, name)
        grown = server.usage.peak() - before
        row.expect(grown < Bounds().grown, f"{grown:.1f} MiB more")
