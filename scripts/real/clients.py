"""The clients: programs that may be missing, and short ways to make a request with each."""

import collections
import functools
import hashlib
import io
import json
import pathlib
import shutil
import socket
import subprocess
import tarfile
import threading
import urllib.error
import urllib.parse
import urllib.request

# What every part is given: the counted checks, the folder, the server with listings for it, and
# Chromium or None.
Setup = collections.namedtuple("Setup", "checks cases server browser")
TIMEOUT = 20  # seconds before a wait fails
PROGRAMS = ("curl", "node", "rclone", "lftp", "wget", "aria2c")
# Prints the status and the SHA-256 of what each URL gives.
NODE = """
const {createHash} = require('crypto');
(async () => {
  const results = [];
  for (const url of process.argv.slice(1)) {
    const response = await fetch(url);
    const body = Buffer.from(await response.arrayBuffer());
    results.push([response.status, createHash('sha256').update(body).digest('hex'), response.url]);
  }
  console.log(JSON.stringify(results));
})();
"""


@functools.cache
def has(program):
    """Whether a client is installed. Old versions of node have no fetch."""
    if not shutil.which(program):
        return False
    return program != "node" or subprocess.run(
        ["node", "-e", "fetch"], stdin=subprocess.DEVNULL, capture_output=True).returncode == 0


def sha(content):
    return hashlib.sha256(content).hexdigest()


def run(*words):
    """Runs a client to its end, and returns what it printed."""
    done = subprocess.run([*map(str, words)], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=TIMEOUT)
    if done.returncode != 0:
        what = (done.stderr + done.stdout).decode(errors="replace").strip()[-300:]
        raise AssertionError(f"{words[0]} ended with {done.returncode}: {what}")
    return done.stdout


class Response:
    """Status, fields with names in lower case, and content."""

    def __init__(self, status, fields, content=b""):
        self.status = status
        self.fields = {name.lower(): value.strip() for name, value in fields}
        self.content = content

    @classmethod
    def parse(cls, head, content=b""):
        status, *lines = head.decode("latin-1").split("\r\n")
        return cls(int(status.split()[1]), [line.split(":", 1) for line in lines if line], content)

    def __getattr__(self, name):
        """`etag` is the field ETag, `content_type` is Content-Type, and so on; or None."""
        return self.fields.get(name.replace("_", "-"))


def curl(*words):
    """The response to a GET by curl; a URL is not changed."""
    out = run("curl", "--silent", "--show-error", "--globoff", "--path-as-is", "--include",
              "--max-time", TIMEOUT, *words)
    head, _, content = out.partition(b"\r\n\r\n")
    while "--location" in words and content.startswith(b"HTTP/1."):
        head, _, content = content.partition(b"\r\n\r\n")
    return Response.parse(head, content)


def head(url):
    """The response to a HEAD by curl."""
    return curl("--head", url)


def raw(server, target, *fields):
    """The response to a GET whose target is these bytes."""
    with server.connect() as connection:
        lines = [b"GET " + target + b" HTTP/1.1", b"Host: localhost", b"Connection: close", *fields]
        connection.sendall(b"\r\n".join(lines) + b"\r\n\r\n")
        parts = []
        try:
            while part := connection.recv(1 << 16):
                parts.append(part)
        except ConnectionResetError:
            pass  # a response to a request that it refuses to read
    head, _, content = b"".join(parts).partition(b"\r\n\r\n")
    return Response.parse(head, content)


def urllib_get(url):
    """The response by Python's urllib."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            return Response(answer.status, answer.headers.items(), answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Response(error.code, error.headers.items(), error.read())


def node_fetch(*urls):
    """Status, SHA-256 and final URL of each response by node's fetch."""
    return json.loads(run("node", "-e", NODE, *urls))


def visit(browser, url):
    """Opens a page in Chromium, and returns the response to it, without content."""
    browser.events = []
    browser.open(url)
    for event in reversed(browser.events):
        if event.get("method") == "Network.responseReceived":
            parameters = event["params"]
            if parameters["type"] == "Document":
                response = parameters["response"]
                return Response(response["status"], response["headers"].items())
    raise AssertionError(f"Chromium got no response for {url}")


def files_of(folder):
    """The name and SHA-256 of each file beneath a folder."""
    folder = pathlib.Path(folder)
    return {str(path.relative_to(folder)): sha(path.read_bytes())
            for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}


def archived(content):
    """The name and SHA-256 of each file in an archive."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {member.name: sha(archive.extractfile(member).read())
                for member in archive if member.isfile()}


def wget_tree(url, out):
    """Downloads a folder with all that it links to, and returns its files.

    Links with a query lead to the folder in another order or format."""
    run("wget", "--quiet", "--tries=1", "--recursive", "--no-parent", "--no-host-directories",
        "--cut-dirs=1", "--restrict-file-names=nocontrol", "--reject-regex=[?]",
        "--reject=index.html*", f"--directory-prefix={out}", url)
    return files_of(out)


def address(server):
    """Host and port."""
    parts = urllib.parse.urlsplit(server.url)
    return parts.hostname, parts.port


def stop(server):
    """Stops a server in order, so that its access log is complete."""
    server.process.terminate()
    server.process.wait(TIMEOUT)


class Slow:
    """A download that stops after its first part until `rest` is called.

    Small segments and a small window keep what the server's kernel accepts meanwhile below 2 MB."""

    def __init__(self, server, target, *fields, part=1 << 20):
        self._socket = socket.socket(socket.AF_INET)
        self._socket.settimeout(TIMEOUT)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)
        self._socket.connect(address(server))
        lines = [f"GET {target} HTTP/1.1", "Host: localhost", "Connection: close", *fields, "", ""]
        self._socket.sendall("\r\n".join(lines).encode())
        got = b""
        while b"\r\n\r\n" not in got:
            got += self._receive()
        head, _, self._got = got.partition(b"\r\n\r\n")
        self.response = Response.parse(head)
        self.promised = int(self.response.content_length)
        while len(self._got) < part:
            self._got += self._receive()

    def _receive(self):
        part = self._socket.recv(1 << 16)
        if not part:
            raise AssertionError("the connection ended before its first part")
        return part

    def rest(self, between=lambda: None):
        """Returns all content that comes, which is less than promised if the connection is cut.

        `between` is called after each part."""
        parts = [self._got]
        try:
            while part := self._socket.recv(1 << 18):
                parts.append(part)
                between()
        except ConnectionResetError:
            pass
        return b"".join(parts)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()


class Meanwhile:
    """Calls `act` again and again while the body of a `with` statement runs."""

    def __init__(self, act, pause=0.01):
        self._act = act
        self._pause = pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def _work(self):
        while True:
            self._act()
            if self._stop.wait(self._pause):
                return

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
