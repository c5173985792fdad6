"""Sends a text over a blocking socket, and prints the response: blocking_client.py HOST PORT."""

import socket
import sys

with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
    client.connect((sys.argv[1], int(sys.argv[2])))
    client.sendall(b"Hello World")
    answer = client.recv(1024)

print(f"received: {answer.decode()}")
