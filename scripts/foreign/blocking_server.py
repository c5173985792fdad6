"""Echoes to one client over a blocking socket, then ends: blocking_server.py HOST PORT."""

import socket
import sys

with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
    listener.bind((sys.argv[1], int(sys.argv[2])))
    listener.listen()
    print(f"listening on port {listener.getsockname()[1]}", flush=True)
    peer, _ = listener.accept()
    with peer:
        while received := peer.recv(1024):
            peer.sendall(received)
