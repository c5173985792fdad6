"""Echoes to many clients from one thread, until it is killed: selecting_server.py HOST PORT."""

import selectors
import socket
import sys


def serve(selector, peer, ready, unsent):
    if ready & selectors.EVENT_READ:
        received = peer.recv(1024)
        if not received:
            selector.unregister(peer)
            peer.close()
            return
        unsent += received
    if ready & selectors.EVENT_WRITE and unsent:
        sent = peer.send(unsent)
        del unsent[:sent]


def main():
    with selectors.DefaultSelector() as selector, \
            socket.create_server((sys.argv[1], int(sys.argv[2]))) as listener:
        listener.setblocking(False)
        print(f"listening on port {listener.getsockname()[1]}", flush=True)
        selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, ready in selector.select():
                if key.fileobj is listener:
                    peer, _ = listener.accept()
                    peer.setblocking(False)
                    both = selectors.EVENT_READ | selectors.EVENT_WRITE
                    selector.register(peer, both, bytearray())
                else:
                    serve(selector, key.fileobj, ready, key.data)


main()
