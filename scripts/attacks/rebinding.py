"""DNS rebinding: a website whose name resolves to 127.0.0.1, so that browsers reach the server."""

import json

from nginx import NGINX
from peers import fetch

FOREIGN = ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "localhost.evil.example",
           "127.0.0.1@evil.example", "notlocalhost:{port}", "0.0.0.0.evil.example:{port}"]
OWN = ["127.0.0.1", "127.0.0.1:{port}", "localhost", "localhost:{port}", "LocalHost:{port}",
       "[::1]:{port}"]
SEARCH = json.dumps({"action": "search", "value": "ring"}).encode()


def run(trials):
    folder(trials)
    messages(trials)
    websockets(trials)


def folder(trials):
    with trials.http() as server:
        port = server.address[1]
        for name, hosts, right in [("foreign", FOREIGN, (421, 400)), ("own", OWN, (200,))]:
            with trials.checked(f"rebinding: a folder, {name} Host") as row:
                for host in hosts:
                    status = fetch(server.address, "/small.txt", Host=host.format(port=port))[0]
                    row.expect(status in right, f"Host: {host} is {status}")
                if name == "foreign":
                    target = "http://evil.example/small.txt"
                    status = fetch(server.address, target, Host=f"localhost:{port}")[0]
                    row.expect(status == 421, f"the target {target} is {status}")
    if NGINX:
        with trials.checked("rebinding: a public Host", "ours behind nginx") as row, \
                trials.http("--trusted-proxy", "127.0.0.1") as server, trials.proxy(server) as proxy:
            status, _, content = fetch(proxy.address, "/small.txt", Host="files.example")
            row.expect((status, content) == (200, b"small\n"), f"it is {status}")


def messages(trials):
    with trials.start("message", "--listen", "127.0.0.1:0", "--log", "debug") as server:
        port = server.address[1]
        own = f"127.0.0.1:{port}"
        for name, requests, right in [
            ("foreign Origin", [(own, origin) for origin in (
                "http://evil.example", "https://evil.example", f"http://evil.example:{port}", "null",
                f"http://127.0.0.1.evil.example:{port}", f"http://{own}.evil.example")], (403,)),
            ("foreign Host", [("evil.example", None), ("evil.example", "http://evil.example")],
             (421, 403)),
            ("own Origin", [(own, f"http://{own}"), (own, None),
                            (f"localhost:{port}", f"http://localhost:{port}")], (200,)),
        ]:
            with trials.checked(f"rebinding: messages, {name}") as row:
                for host, origin in requests:
                    for kind in ("text/json", "text/plain"):
                        fields = {"Origin": origin} if origin else {}
                        status = post(server.address, kind, Host=host, **fields)
                        row.expect(status in right,
                                   f"Host: {host}, Origin: {origin}, {kind} is {status}")


def websockets(trials):
    with trials.start("echo", "--websocket", "--listen", "127.0.0.1:0", "--log", "debug") as server:
        port = server.address[1]
        own = f"127.0.0.1:{port}"
        for name, requests, right in [
            # The page has the origin of the name that it was loaded by.
            ("foreign Host", [(host, f"http://{host}") for host in FOREIGN], (421, 400)),
            ("foreign Origin", [(own, "http://evil.example"), (own, "null"),
                                (own, f"http://{own}.evil.example")], (403,)),
            ("own Host", [(host, f"http://{host}") for host in OWN], (101,)),
        ]:
            with trials.checked(f"rebinding: WebSockets, {name}") as row:
                for host, origin in requests:
                    host, origin = host.format(port=port), origin.format(port=port)
                    status = fetch(server.address, "/", Connection="Upgrade", Upgrade="websocket",
                                   Sec_WebSocket_Version="13", Host=host, Origin=origin,
                                   Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==")[0]
                    row.expect(status in right, f"Host: {host}, Origin: {origin} is {status}")


def post(address, kind, **fields):
    return fetch(address, "/", method="POST", content=SEARCH, Content_Type=kind, **fields)[0]
