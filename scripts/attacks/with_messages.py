"""Large messages that take long to parse, and small ones at the same time."""

import json

from frames import as_json, frame, take
from peers import Victim, connect, head
from running import receive_all

LARGEST = 16 << 20
SENDERS = 4
TIMEOUT = 30  # seconds for the response to a large message
SEARCH = as_json({"action": "search", "value": "nothing"})
RIGHT = as_json({"result": "No match for 'nothing'."})


def many_keys():
    """1.6 million keys, all of them different."""
    content = "{" + ",".join(f'"{number:x}":1' for number in range(1_600_000)) + "}"
    assert len(content) <= LARGEST, len(content)
    return content.encode()


def run(trials):
    nested = b"[" * (LARGEST // 2) + b"]" * (LARGEST // 2)
    lists = b"[" + b"[]," * (LARGEST // 3 - 2) + b"[]]"
    for name, content, wires in [("1.6 million keys", many_keys(), ["frames", "HTTP"]),
                                 ("8 million nested lists", nested, ["frames"]),
                                 ("5.6 million empty lists", lists, ["frames"])]:
        for wire in wires:
            with trials.checked(f"messages: {SENDERS} × {name}, {wire}") as row, \
                    trials.start("message", "--listen", "127.0.0.1:0", "--log", "debug") as server:
                attack(row, server, content, wire)


def attack(row, server, content, wire):
    before = server.usage.seconds()
    victim = Victim(server.address, [("/", RIGHT, {
        "method": "POST", "content": SEARCH, "Content_Type": "text/json"})])
    victim.start()
    victim.wait_for(5, 10)
    senders = []
    for _ in range(SENDERS):
        sender = connect(server.address)
        sender.settimeout(TIMEOUT)
        senders.append(sender)
    if wire == "frames":
        sent = frame(content)
    else:
        sent = head("/", "POST", Content_Type="text/json", Content_Length=len(content),
                    Connection="close") + content
    # The last bytes are sent together, so that all messages are complete at about the same time.
    for sender in senders:
        sender.sendall(sent[:-1])
    for sender in senders:
        sender.sendall(sent[-1:])
    received = [receive_all(sender) for sender in senders]
    victim.wait_for(victim.requests_made + 5, 10)
    victim.stop()
    row.victim, row.slowest = f"{victim.answered}/{victim.requests_made}", victim.slowest
    row.seconds, row.peak = server.usage.seconds() - before, server.usage.peak()
    row.after = server.usage.resident()
    if victim.answered < victim.requests_made:
        row.problems.append(f"the victim has {row.victim} answers: {'; '.join(victim.wrong[:2])}")
    for one in received:
        well_formed(one, wire)


def well_formed(received, wire):
    """Checks that this is one response, or one error, and nothing after it."""
    if wire == "frames":
        taken = take(received)
        assert taken, f"part of a frame: {received[:200]!r}"
        header, content, rest = taken
        assert not rest and header["content-type"] == "text/json", (header, rest[:100])
    else:
        top, _, content = received.partition(b"\r\n\r\n")
        assert top.startswith(b"HTTP/1.1 ") and content, received[:200]
    response = json.loads(content)
    assert response["result"].startswith("Error: ") or "error" not in response, response
