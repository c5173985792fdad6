"""A minimal message server with one thread: message_server.py HOST PORT.

It answers one request per connection and ignores bytes after it. After an invalid request it closes
without a response; content that is false in Python is never answered. It has no limits and no
deadlines, and knows only the four required keys of a header.
"""

import json
import selectors
import socket
import sys

from frames import as_json, frame, take

ANSWERS = {
    "morpheus": "Follow the white rabbit. \N{RABBIT FACE}",
    "ring": "In the caves beneath the Misty Mountains. \N{RING}",
    "\N{DOG FACE}": "\N{PAW PRINTS} Playing ball! \N{VOLLEYBALL}",
}


def answer(header, content):
    """The frame of the response, or None if there is none."""
    if header["content-type"] != "text/json":
        content = content and b"First 10 bytes of request: " + content[:10]
        return content and frame(content, "binary/custom-server-binary-type", "binary")
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

    def ready(self, selector):
        """Returns whether the connection has ended."""
        if self.unsent:
            self.unsent = self.unsent[self.peer.send(self.unsent):]
            return not self.unsent
        part = self.peer.recv(4096)
        self.received += part
        request = take(self.received)
        if not request:
            return not part
        header, content, _ = request
        for key in ("byteorder", "content-type", "content-encoding", "content-length"):
            if key not in header:
                raise ValueError(f"no {key}")
        self.unsent = answer(header, content)
        if self.unsent:
            selector.modify(self.peer, selectors.EVENT_WRITE, self)
        else:
            selector.unregister(self.peer)  # there is no response: ignore the connection
        return False


def main():
    held = []
    with selectors.DefaultSelector() as selector, \
            socket.create_server((sys.argv[1], int(sys.argv[2]))) as listener:
        listener.setblocking(False)
        print(f"listening on port {listener.getsockname()[1]}", flush=True)
        selector.register(listener, selectors.EVENT_READ, None)
        while True:
            for key, _ in selector.select():
                if key.data is None:
                    peer, _ = listener.accept()
                    peer.setblocking(False)
                    connection = Connection(peer)
                    held.append(connection)
                    selector.register(peer, selectors.EVENT_READ, connection)
                    continue
                try:
                    done = key.data.ready(selector)
                except (OSError, ValueError, LookupError, AttributeError, TypeError):
                    done = True
                if done:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
                    held.remove(key.data)


main()
