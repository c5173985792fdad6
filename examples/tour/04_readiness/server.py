"""Step 4: one thread sends everything back to many clients: server.py [HOST PORT].

It registers every socket for reading and for writing, always. So it never waits while a client is
connected.
"""

import selectors
import socket
import sys

HOST, PORT = sys.argv[1:] or ("127.0.0.1", 5000)


def accept(selector, listener):
    connection, peer = listener.accept()
    print(f"connection from {peer[0]}:{peer[1]}", flush=True)
    connection.setblocking(False)
    unsent = bytearray()
    selector.register(connection, selectors.EVENT_READ | selectors.EVENT_WRITE, unsent)


def serve(selector, connection, ready, unsent):
    if ready & selectors.EVENT_READ:
        received = connection.recv(1024)
        if not received:
            selector.unregister(connection)
            connection.close()
            return
        unsent += received
    if ready & selectors.EVENT_WRITE and unsent:
        sent = connection.send(unsent)
        del unsent[:sent]


with selectors.DefaultSelector() as selector, \
        socket.create_server((HOST, int(PORT))) as listener:
    listener.setblocking(False)
    print(f"listening on port {listener.getsockname()[1]}", flush=True)
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, ready in selector.select():
            if key.fileobj is listener:
                accept(selector, listener)
            else:
                serve(selector, key.fileobj, ready, key.data)
