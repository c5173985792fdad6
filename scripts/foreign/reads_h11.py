"""Parses requests with h11: reads lines of hexadecimal, and writes lines of JSON."""

import json
import sys

import h11


def latin(text):
    return bytes(text).decode("latin-1")


def lines(headers):
    return [[latin(name), latin(value)] for name, value in headers.raw_items()]


def read(data):
    requests, now = [], None
    # No smaller than our own limit, so that limits cause no differences.
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=64 * 1024)

    def reading(end, why=""):
        return {"requests": requests, "end": end, "why": why}

    try:
        if data:
            connection.receive_data(data)
        connection.receive_data(b"")
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request) and event.method == b"CONNECT":
                return reading("refused", "CONNECT")
            if isinstance(event, h11.Request):
                now = {"method": latin(event.method), "target": latin(event.target),
                       "minor": int(event.http_version[-1:]), "fields": lines(event.headers),
                       "body": "", "trailers": []}
            elif isinstance(event, h11.Data):
                now["body"] += latin(event.data)
            elif isinstance(event, h11.EndOfMessage):
                now["trailers"] = lines(event.headers)
                requests.append(now)
                connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is not h11.DONE:
                    return reading("done")
                if connection.their_state is not h11.DONE:
                    return reading("done")
                connection.start_next_cycle()
            elif isinstance(event, h11.ConnectionClosed):
                return reading("done")
            else:
                return reading("incomplete", f"{event}")
    except h11.RemoteProtocolError as error:
        if "peer unexpectedly closed connection" in str(error) or "incomplete message" in str(error):
            return reading("incomplete", str(error))
        return reading("refused", str(error))


for line in sys.stdin:
    print(json.dumps(read(bytes.fromhex(line))))
