"""Step 5: sends two messages on each of many connections: client.py [HOST PORT COUNT].

It sends both without reading in between, and closes a connection when all its bytes have come back.
"""

import selectors
import socket
import sys

HOST, PORT, COUNT = sys.argv[1:] or ("127.0.0.1", 5000, 3)
MESSAGES = [b"Message 1 from client.", b"Message 2 from client."]
EXPECTED = b"".join(MESSAGES)


class Connection:
    def __init__(self, number, address):
        self.number = number
        self.unsent = list(MESSAGES)
        self.received = b""
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        self.socket.connect_ex(address)

    def write(self):
        if self.unsent:
            sent = self.socket.send(self.unsent[0])
            self.unsent[0] = self.unsent[0][sent:]
            if not self.unsent[0]:
                self.unsent.pop(0)

    def read(self):
        """Returns false at the end."""
        received = self.socket.recv(1024)
        self.received += received
        if received and len(self.received) < len(EXPECTED):
            return True
        verdict = "complete" if self.received == EXPECTED else f"wrong: {self.received!r}"
        print(f"connection {self.number} {verdict}")
        return False


with selectors.DefaultSelector() as selector:
    for number in range(1, int(COUNT) + 1):
        connection = Connection(number, (HOST, int(PORT)))
        both = selectors.EVENT_READ | selectors.EVENT_WRITE
        selector.register(connection.socket, both, connection)
    while selector.get_map():
        for key, ready in selector.select():
            if ready & selectors.EVENT_WRITE:
                key.data.write()
            if ready & selectors.EVENT_READ and not key.data.read():
                selector.unregister(key.fileobj)
                key.fileobj.close()
