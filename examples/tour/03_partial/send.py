"""Step 3: how many bytes one send takes from a socket with a timeout: send.py [HOST PORT]."""

import socket
import sys

HOST, PORT = sys.argv[1:] or ("127.0.0.1", 5000)
SIZE = 100_000_000

with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
    connection.settimeout(5)
    connection.connect((HOST, int(PORT)))
    sent = connection.send(bytes(SIZE))
    print(f"send took {sent} of {SIZE} bytes")
