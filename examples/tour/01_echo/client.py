"""Step 1: sends a text, and prints the response: client.py [HOST PORT]."""

import socket
import sys

HOST, PORT = sys.argv[1:] or ("127.0.0.1", 5000)

with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
    connection.connect((HOST, int(PORT)))
    connection.sendall(b"Hello World")
    received = connection.recv(1024)

print(f"received: {received.decode()}")
