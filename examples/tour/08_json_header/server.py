"""Step 8: answers searches, and bytes with their beginning: server.py [HOST PORT].

docs/message.md is the specification. One thread serves all clients, until it is killed.

It reads one request per connection, and ignores input after it. For an invalid request, it closes
the connection without a response. If the content is empty or JSON that is false in Python (such as
`{}`), it never responds, and keeps the connection open. It has no limits and no timeouts, and knows
only the four required header keys.
"""

import json
import selectors
import socket
import sys

from frames import as_json, frame, take

HOST, PORT = sys.argv[1:] or ("127.0.0.1", 5000)

ANSWERS = {
    "morpheus": "Follow the white rabbit. \N{RABBIT FACE}",
    "ring": "In the caves beneath the Misty Mountains. \N{RING}",
    "\N{DOG FACE}": "\N{PAW PRINTS} Playing ball! \N{VOLLEYBALL}",
}


def answer(header, content):
    """The frame of the response, or None if there is none."""
    if header["content-type"] != "text/json":
        if not content:
            return None
        start = b"First 10 bytes of request: " + content[:10]
        return frame(start, "binary/custom-server-binary-type", "binary")
    request = json.loads(content.decode(header["content-encoding"]))
    if not request:
        return None
    action = request.get("action")
    if action == "search":
        value = request.get("value")
        result = ANSWERS.get(value) or f"No match for '{value}'."
    else:
        result = f"Error: invalid action '{action}'."
    return frame(as_json({"result": result}))


class Connection:
    def __init__(self, peer):
        self.peer = peer
        self.received = b""
        self.unsent = b""

    def on_ready(self, selector):
        """Sends or receives once. Returns whether to close the connection."""
        if self.unsent:
            self.unsent = self.unsent[self.peer.send(self.unsent):]
            return not self.unsent
        data = self.peer.recv(4096)
        self.received += data
        request = take(self.received)
        if not request:
            return not data
        header, content, _ = request
        for key in ("byteorder", "content-type", "content-encoding", "content-length"):
            if key not in header:
                raise ValueError(f"no {key}")
        self.unsent = answer(header, content)
        if self.unsent:
            selector.modify(self.peer, selectors.EVENT_WRITE, self)
        else:
            selector.unregister(self.peer)  # stays open, but is ignored from now on
        return False


def main():
    connections = []  # holds the ignored ones, too, so that Python doesn't close them
    with selectors.DefaultSelector() as selector, \
            socket.create_server((HOST, int(PORT))) as listener:
        listener.setblocking(False)
        print(f"listening on port {listener.getsockname()[1]}", flush=True)
        selector.register(listener, selectors.EVENT_READ, None)
        while True:
            for key, _ in selector.select():
                if key.data is None:
                    peer, address = listener.accept()
                    print(f"connection from {address[0]}:{address[1]}", flush=True)
                    peer.setblocking(False)
                    connection = Connection(peer)
                    connections.append(connection)
                    selector.register(peer, selectors.EVENT_READ, connection)
                    continue
                try:
                    ended = key.data.on_ready(selector)
                except (OSError, ValueError, LookupError, AttributeError, TypeError):
                    ended = True
                if ended:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
                    connections.remove(key.data)


main()
