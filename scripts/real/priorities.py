"""HTTP/2: an urgent response overtakes others that are larger, and began before."""

import http.client
import os

import clients
import http2
from folder import write
from http2 import DATA, END_STREAM, HEADERS, INITIAL_WINDOW_SIZE, Client, request, streams, window_update
from running import expect

PICTURES = 9
PICTURE = 4 << 20  # bytes
STYLE = 60_000  # bytes, more than a frame has
STYLE_STREAM = 2 * PICTURES + 1
# The receive buffer: what has arrived there can't be overtaken.
WINDOW = 64 << 10
QUIET = 0.3  # seconds without progress, after which the server's buffers are full


def run(setup):
    checks, cases = setup.checks, setup.cases
    root = cases.parent / "page"
    picture, style = os.urandom(PICTURE), os.urandom(STYLE)
    for number in range(PICTURES):
        write(root / f"{number}.jpg", picture)
    write(root / "style.css", style)
    with checks.check("pictures and a style are served"), \
            checks.start("http", root, "--listen", "127.0.0.1:0") as server:
        know_all_files(server)
        for name, buffer in (("a small", WINDOW), ("the default", None)):
            with checks.check(f"a style behind 36 MiB of pictures: {name} receive buffer"):
                before = behind_pictures(server.address, buffer, style)
                print(f"      {before >> 10} KiB of pictures before the end of the style")
                assert before < PICTURES * PICTURE // 10, f"{before} bytes came before it"
        with checks.check("a style of the same urgency comes later"):
            before = behind_pictures(server.address, WINDOW, style, b"u=5")
            assert before > PICTURES * PICTURE // 10, f"only {before} bytes came before it"


def know_all_files(server):
    """Asks for each file once: the hash of its content is computed then."""
    connection = http.client.HTTPConnection(*server.address, timeout=clients.TIMEOUT)
    for name in ("style.css", *(f"{number}.jpg" for number in range(PICTURES))):
        connection.request("HEAD", f"/{name}")
        connection.getresponse().read()
    connection.close()


def behind_pictures(address, buffer, style, urgency=b"u=1"):
    """Asks for pictures, and for a style when the server has filled all buffers with the first of them.
    Returns how many bytes of pictures have come before the end of the style."""
    client = Client(address, (INITIAL_WINDOW_SIZE, http2.WINDOW), window=buffer)
    counts, content, statuses = {True: 0, False: 0}, [], []

    def note(got):
        if got.kind == HEADERS:
            statuses.append(got.status())
        elif got.kind == DATA:
            counts[got.stream == STYLE_STREAM] += len(got.payload)
            if got.stream == STYLE_STREAM:
                content.append(got.payload)

    def is_end(got):
        return got.stream == STYLE_STREAM and got.kind == DATA and got.flags & END_STREAM

    try:
        client.run([window_update(http2.INCREASE), *(
            request(stream, f"/{number}.jpg", fields=[(b"priority", b"u=5")])
            for number, stream in enumerate(streams(PICTURES)))],
            on_frame=note, until=lambda got: got.kind == DATA, seconds=20)
        client.run(reads=False, quiet=QUIET)
        client.run([request(STYLE_STREAM, "/style.css", fields=[(b"priority", urgency)])],
                   on_frame=note, until=is_end, quiet=10, seconds=20)
    finally:
        client.close()
    expect(b"".join(content) == style, True, f"the style is whole ({client.outcome}):")
    expect(set(statuses), {200})
    return counts[False]
