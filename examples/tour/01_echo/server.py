"""Step 1: sends everything back to one client, then ends: server.py [HOST PORT]."""

import socket
import sys

HOST, PORT = sys.argv[1:] or ("127.0.0.1", 5000)

with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
    listener.bind((HOST, int(PORT)))
    listener.listen()
    print(f"listening on port {listener.getsockname()[1]}", flush=True)
    connection, peer = listener.accept()
    print(f"connection from {peer[0]}:{peer[1]}", flush=True)
    with connection:
        while received := connection.recv(1024):
            connection.sendall(received)
