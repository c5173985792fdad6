"""Step 3: sends bytes in one thread while it receives them in another, and compares them:
client.py [HOST PORT [BYTES]]."""

import socket
import sys
import threading

HOST, PORT, *rest = sys.argv[1:] or ("127.0.0.1", 5000)
SIZE = int(rest[0]) if rest else 100_000_000

# A pattern, so that bytes that are lost or come twice shift the rest.
data = (bytes(range(251)) * (SIZE // 251 + 1))[:SIZE]


def send(connection):
    connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)


with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
    connection.connect((HOST, int(PORT)))
    sender = threading.Thread(target=send, args=[connection])
    sender.start()
    received = bytearray()
    # Reads until b"": the server closes its side when it has sent everything back.
    while part := connection.recv(65536):
        received += part
    sender.join()

print(f"sent {len(data)} bytes, received {len(received)}")
assert received == data, "other bytes came back"
