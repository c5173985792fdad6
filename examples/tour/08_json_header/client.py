"""Step 8: sends one request, and prints the response: client.py HOST PORT ACTION VALUE.

The action `search` is sent as JSON, any other with its value as bytes. The client writes the whole
request before it reads, and closes the connection after one response. It has no timeout.
"""

import json
import selectors
import socket
import sys

from frames import as_json, frame, take


def request(action, value):
    if action == "search":
        return frame(as_json({"action": action, "value": value}))
    return frame((action + value).encode(), "binary/custom-client-binary-type", "binary")


def show(header, content):
    if header["content-type"] == "text/json":
        print(json.loads(content.decode(header["content-encoding"]))["result"])
    else:
        print(repr(content))


def main():
    if len(sys.argv) != 5:
        sys.exit("usage: client.py HOST PORT ACTION VALUE")
    host, port, action, value = sys.argv[1:]
    unsent, received = request(action, value), b""
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    connection.setblocking(False)
    connection.connect_ex((host, int(port)))
    with connection, selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_WRITE)
        while unsent:
            selector.select()
            unsent = unsent[connection.send(unsent):]
        selector.modify(connection, selectors.EVENT_READ)
        while not (response := take(received)):
            selector.select()
            part = connection.recv(4096)
            if not part:
                sys.exit("the server closed")
            received += part
    show(*response[:2])


main()
