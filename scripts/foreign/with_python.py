"""Tests `sockeye http` with Python's HTTP clients."""

import html.parser
import http.client
import urllib.error
import urllib.parse
import urllib.request

from running import TIMEOUT, expect


class Links(html.parser.HTMLParser):
    """The links of a page."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in ("href", "src") and value]


def get(url):
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
        return response.headers, response.read()


def run(checks, folder):
    site(checks)
    with checks.check("http.client: the folder is served"), \
            checks.start("http", folder.root, "--listen", "127.0.0.1:0") as server:
        with checks.check("http.client: many requests on one connection"):
            connection = http.client.HTTPConnection(*server.address, timeout=TIMEOUT)
            socket = None
            for _ in range(50):
                for path, wanted in (("/hello.txt", 200), ("/nothing", 404)):
                    connection.request("GET", path)
                    response = connection.getresponse()
                    response.read()
                    expect(response.status, wanted)
                    socket = socket or connection.sock
                    assert connection.sock is socket, "the connection was not kept"
            connection.request("HEAD", "/big.bin")
            response = connection.getresponse()
            expect((response.read(), response.getheader("Content-Length")), (b"", str(len(folder.big))))
            connection.close()
        with checks.check("urllib: 404 is an error, a folder's redirect is followed"):
            try:
                get(server.url + "/nothing")
            except urllib.error.HTTPError as error:
                expect(error.code, 404)
                error.close()
            else:
                raise AssertionError("no error")
            assert get(server.url + "/sub")[1].endswith(b"sub")


def site(checks):
    """Reads the project's own site, following its links."""
    with checks.check("urllib: every page and link of site/"), \
            checks.start("http", checks.root / "site", "--listen", "127.0.0.1:0") as server:
        seen, waiting = set(), [server.url + "/"]
        while waiting:
            url = urllib.parse.urldefrag(waiting.pop())[0]
            if url in seen or not url.startswith(server.url + "/"):
                continue
            seen.add(url)
            headers, content = get(url)
            assert content, f"{url} is empty"
            if headers.get_content_type() == "text/html":
                links = Links()
                links.feed(content.decode())
                waiting += [urllib.parse.urljoin(url, link) for link in links.found]
        assert len(seen) > 4, f"only {len(seen)} found"
