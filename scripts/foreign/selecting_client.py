"""Sends two messages on each of several connections at once: selecting_client.py HOST PORT CONNECTIONS.

The messages leave in two writes with nothing read between them, and a connection is closed as soon
as as many bytes came back as were sent.
"""

import selectors
import socket
import sys

MESSAGES = [b"Message 1 from client.", b"Message 2 from client."]
WANTED = b"".join(MESSAGES)


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
        """Returns whether the connection has ended."""
        part = self.socket.recv(1024)
        self.received += part
        if part and len(self.received) < len(WANTED):
            return False
        verdict = "complete" if self.received == WANTED else f"wrong: {self.received!r}"
        print(f"connection {self.number} {verdict}")
        return True


def main():
    host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with selectors.DefaultSelector() as selector:
        for number in range(1, count + 1):
            connection = Connection(number, (host, port))
            both = selectors.EVENT_READ | selectors.EVENT_WRITE
            selector.register(connection.socket, both, connection)
        while selector.get_map():
            for key, ready in selector.select():
                if ready & selectors.EVENT_WRITE:
                    key.data.write()
                if ready & selectors.EVENT_READ and key.data.read():
                    selector.unregister(key.fileobj)
                    key.fileobj.close()


main()
