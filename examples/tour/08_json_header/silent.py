"""Step 8: opens connections and falls silent on each: silent.py [HOST PORT COUNT].

On each, the server first answers one request, and so certainly serves the connection. Then the
client sends the first byte of another request, and waits until the server closes the connection.
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
        part = connection.recv(4096)
        if not part:
            sys.exit("the server closed without a response")
        received += part
    connection.sendall(b"\0")
print(f"silent on {COUNT} connections", flush=True)

for connection in connections:
    while connection.recv(4096):
        pass
print(f"the server closed {COUNT}")
