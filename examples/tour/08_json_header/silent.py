"""Step 8: opens connections and falls silent on each: silent.py [HOST PORT COUNT].

Each has one request answered first, so that the server certainly serves it. Then it sends the first byte
of another one, and waits until the server closes it.
"""

import socket
import sys

from frames import as_json, frame, take

HOST, PORT, COUNT = sys.argv[1:] or ("127.0.0.1", 5000, 1)
REQUEST = frame(as_json({"action": "search", "value": "ring"}))

connections = []
for _ in range(int(COUNT)):
    connection = socket.create_connection((HOST, int(PORT)))
    connections.append(connection)
    connection.sendall(REQUEST)
    received = b""
    while not take(received):
        received += connection.recv(4096)
    connection.sendall(b"\0")
print(f"silent on {COUNT} connections", flush=True)

for connection in connections:
    while connection.recv(4096):
        pass
print(f"the server closed {COUNT}")
