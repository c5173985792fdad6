"""Tests TLS with curl, openssl and Python."""

import hashlib
import http.client
import os
import pathlib
import re
import select
import signal
import socket
import ssl
import subprocess
import urllib.request

from authority import Authority
from running import TIMEOUT, expect, receive_all

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
# Connections that may be needed until each worker has had one. The kernel chooses the worker, so that
# all of them at the same worker have a probability of 2 to the power of -39.
TRIES = 40
# curl's exit codes.
CONNECT_FAILED = 35
UNTRUSTED = 60


class Client:
    """Makes requests to one server, and trusts its authority."""

    def __init__(self, authority, server):
        self.authority = authority.certificate
        self.server = server
        self.host, self.port = server.address
        self.url = f"https://localhost:{self.port}"

    def curl(self, *words, path="/hello.txt"):
        """Runs curl, and returns its exit code and what it printed."""
        command = ["curl", "--silent", "--show-error", "--max-time", str(TIMEOUT), "--cacert",
                   self.authority, *words, *([self.url + path] if path else [])]
        done = subprocess.run([*map(str, command)], stdin=subprocess.DEVNULL, capture_output=True)
        return done.returncode, done.stdout

    def head(self, *words, path="/hello.txt"):
        """The status and the fields of a response to curl, with names in lower case."""
        code, out = self.curl("--dump-header", "-", "--output", "/dev/null", *words, path=path)
        expect(code, 0, "curl's exit code")
        status, *lines = out.decode().strip().split("\r\n")
        fields = (line.partition(":") for line in lines)
        return int(status.split()[1]), {name.lower(): value.strip() for name, _, value in fields}

    def context(self, version=None):
        context = ssl.create_default_context(cafile=self.authority)
        context.set_alpn_protocols(["http/1.1"])
        if version:
            context.minimum_version = context.maximum_version = VERSIONS[version]
        return context

    def connect(self, context=None, session=None, name="localhost"):
        plain = socket.create_connection((self.host, self.port), timeout=TIMEOUT)
        try:
            return (context or self.context()).wrap_socket(
                plain, server_hostname=name, session=session, suppress_ragged_eofs=False)
        except BaseException:
            plain.close()
            raise

    def openssl(self, *words, sent=b"", until=b""):
        """Runs `openssl s_client` until it has printed what matches `until`, or has ended. Returns
        what it printed."""
        process = subprocess.Popen(
            ["openssl", "s_client", "-connect", f"{self.host}:{self.port}", "-servername",
             "localhost", "-CAfile", self.authority, *map(str, words)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        out = b""
        try:
            os.write(process.stdin.fileno(), sent)
            if not until:
                process.stdin.close()
            while not (until and re.search(until, out)):
                ready = select.select([process.stdout], [], [], TIMEOUT)[0]
                part = os.read(process.stdout.fileno(), 1 << 16) if ready else b""
                if not part:
                    break
                out += part
            return out.decode(errors="replace")
        finally:
            process.kill()
            process.stdout.close()
            process.wait(TIMEOUT)


def run(checks, folder):
    authority = Authority(folder.parent / "authority")
    flags = authority.flags()
    words = ("http", folder.root, "--listen", "127.0.0.1:0", "--workers", "2", *flags)
    with checks.check("TLS: the folder is served"), checks.start(*words) as server:
        assert server.url.startswith("https://"), server.url
        client = Client(authority, server)
        with_curl(checks, client, folder)
        versions_and_names(checks, client)
        plain_http(checks, client)
        with_python(checks, client, folder)
        resumption(checks, client, folder)
        ending(checks, client)
    echo(checks, authority, flags)


def with_curl(checks, client, folder):
    with checks.check("TLS, curl: GET, HEAD, a range and 304"):
        for version in VERSIONS:
            range_of = ("--tls-max", version, f"--tlsv{version}")
            expect(client.curl(*range_of), (0, b"Hello World\n"), f"TLS {version}")
        status, fields = client.head("--head")
        expect((status, fields["content-length"]), (200, "12"))
        expect(client.curl("--range", "6-10"), (0, b"World"))
        expect(client.head("--header", f"If-None-Match: {fields['etag']}")[0], 304)
    with checks.check("TLS, curl: the version is chosen by ALPN, and HTTP/1.0 works without"):
        for flag, version in (("--http2", b"2"), ("--http1.1", b"1.1")):
            code, out = client.curl(flag, "--write-out", "%{http_version}")
            expect((code, out), (0, b"Hello World\n" + version))
        expect(client.curl("--http1.0", "--no-alpn"), (0, b"Hello World\n"))
    with checks.check("TLS, curl: one connection for two requests"):
        code, out = client.curl("--write-out", "%{num_connects} ", client.url + "/hello.txt")
        expect((code, out.replace(b"Hello World\n", b"").split()), (0, [b"1", b"0"]))
    with checks.check("TLS, curl: a large file arrives completely"):
        code, out = client.curl(path="/big.bin")
        expect((code, hashlib.sha256(out).digest()), (0, hashlib.sha256(folder.big).digest()))
        code, out = client.curl("--range", "1000001-20000000", path="/big.bin")
        expect((code, out == folder.big[1000001:20000001]), (0, True))
    with checks.check("TLS, curl: 404, 405, 414 and 431"):
        expect(client.head(path="/nothing")[0], 404)
        expect(client.head("--data", "a=b")[0], 405)
        expect(client.head(path="/" + "a" * 20_000)[0], 414)
        expect(client.head("--header", f"X: {'a' * 60_000}")[0], 431)


def versions_and_names(checks, client):
    with checks.check("TLS, curl: an address without a name"):
        expect(client.curl(f"https://127.0.0.1:{client.port}/hello.txt", path=None),
               (0, b"Hello World\n"))
    with checks.check("TLS, curl: an unknown name gets a certificate that doesn't fit"):
        at = f"other.example:{client.port}"
        code, out = client.curl("--resolve", f"{at}:127.0.0.1", f"https://{at}/", path=None)
        expect((code, out), (UNTRUSTED, b""))
    with checks.check("TLS, curl: an authority that isn't trusted is refused by the client"):
        command = ["curl", "--silent", "--max-time", str(TIMEOUT), client.url]
        expect(subprocess.run(command, capture_output=True).returncode, UNTRUSTED)
        expect(client.curl("--insecure"), (0, b"Hello World\n"))
    with checks.check("TLS, openssl: versions before 1.2 are refused with an alert"):
        for version in ("-tls1", "-tls1_1"):
            out = client.openssl(version, "-cipher", "ALL:@SECLEVEL=0")
            assert re.search("alert (protocol version|handshake failure)", out), out
            assert "New, (NONE)" in out, out
    with checks.check("TLS, openssl: a protocol that we don't have is refused with an alert"):
        out = client.openssl("-alpn", "smtp")
        assert "alert no application protocol" in out, out


def plain_http(checks, client):
    url = f"http://localhost:{client.port}/hello.txt?a=b"
    with checks.check("TLS, curl: plain HTTP is redirected to https"):
        for words in ([], ["--head"]):
            status, fields = client.head(*words, url, path=None)
            expect((status, fields["location"]), (308, f"{client.url}/hello.txt?a=b"))
        expect(client.curl("--location", url, path=None), (0, b"Hello World\n"))
    with checks.check("TLS, curl: plain HTTP that can't be redirected is 400, with the reason"):
        code, out = client.curl("--data", "a=b", "--write-out", "%{http_code}", url, path=None)
        expect((code, out[-3:]), (0, b"400"))
        assert b"TLS" in out or b"https" in out.lower(), out
        expect(client.head("--header", "Host:", "--http1.0", url, path=None)[0], 400)


def with_python(checks, client, folder):
    with checks.check("TLS, http.client: many requests on one connection"):
        connection = http.client.HTTPSConnection(
            "localhost", client.port, context=client.context(), timeout=TIMEOUT)
        used = None
        for _ in range(50):
            for path, wanted in (("/hello.txt", 200), ("/nothing", 404)):
                connection.request("GET", path)
                response = connection.getresponse()
                response.read()
                expect(response.status, wanted)
                used = used or connection.sock
                assert connection.sock is used, "the connection was not kept"
        connection.request("HEAD", "/big.bin")
        response = connection.getresponse()
        expect((response.read(), response.getheader("Content-Length")), (b"", str(len(folder.big))))
        connection.close()
    with checks.check("TLS, urllib: a large file arrives completely"):
        opened = urllib.request.urlopen(
            client.url + "/big.bin", timeout=TIMEOUT, context=client.context())
        with opened as response:
            expect(response.read() == folder.big, True)
    with checks.check("TLS, Python: another name fails to verify"):
        try:
            client.connect(name="other.example").close()
        except ssl.SSLCertVerificationError:
            return
        raise AssertionError("the handshake succeeded")


def get(connection, path="/hello.txt"):
    """Makes a request on a connection that stays open, and checks the response."""
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    received = b""
    while not received.endswith(b"Hello World\n"):
        part = connection.recv(1 << 14)
        assert part, "the connection ended early"
        received += part


def worker(pid, connection):
    """The worker that has a connection: the descriptor of the epoll that watches the server's
    socket."""
    server, client = connection.getpeername()[1], connection.getsockname()[1]
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if [int(field.rpartition(":")[2], 16) for field in fields[1:3]] == [server, client]:
            watched = rf"\bino:{int(fields[9]):x}\b"
            for entry in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
                if re.search(watched, entry.read_text()):
                    return entry.name
    raise AssertionError("no worker watches the connection")


def resumption(checks, client, folder):
    pid = client.server.process.pid
    for version in VERSIONS:
        with checks.check(f"TLS {version}, Python: sessions are resumed by the other worker, too"):
            context = client.context(version)
            with client.connect(context) as first:
                get(first)
                expect(first.session_reused, False, "resumed at first")
                began_at, session = worker(pid, first), first.session
            workers = set()
            for _ in range(TRIES):
                with client.connect(context, session) as again:
                    get(again)
                    expect(again.session_reused, True, "resumed")
                    workers.add(worker(pid, again))
                if len(workers) > 1:
                    break
            assert workers - {began_at}, f"only worker {began_at} was reached"
    with checks.check("TLS 1.2, openssl: five reconnections are resumed"):
        out = client.openssl("-tls1_2", "-reconnect")
        expect((out.count("New, TLSv1.2"), out.count("Reused, TLSv1.2")), (1, 5))
    request = b"GET /hello.txt HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for flag, name in (("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
        with checks.check(f"{name}, openssl: a session in a file is resumed again and again"):
            kept = folder.parent / f"session-{name}"
            out = client.openssl(flag, "-sess_out", kept, sent=request, until=b"Hello World\n")
            assert f"New, {name}" in out, out
            for _ in range(4):
                out = client.openssl(flag, "-sess_in", kept, sent=request, until=b"Hello World\n")
                assert f"Reused, {name}" in out and "Hello World\n" in out, out
    with checks.check("TLS, openssl: early data is not accepted"):
        kept = folder.parent / "session-TLSv1.3"
        early = folder.parent / "early-data"
        early.write_bytes(request)
        out = client.openssl("-tls1_3", "-sess_in", kept, "-early_data", early)
        assert "Early data was accepted" not in out, out


def ending(checks, client):
    """The last one: it stops the server."""
    with checks.check("TLS: the end of a response is announced (close_notify)"):
        for request in (b"GET /hello.txt HTTP/1.0\r\n\r\n",
                        b"GET /hello.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"):
            for version in VERSIONS:
                # A connection that ends without it raises an error.
                with client.connect(client.context(version)) as connection:
                    connection.sendall(request)
                    assert receive_all(connection).endswith(b"\r\n\r\nHello World\n")
    with checks.check("TLS: an idle connection is closed in order when the server stops"):
        with client.connect() as connection:
            get(connection)
            client.server.process.send_signal(signal.SIGTERM)
            expect(receive_all(connection), b"")
        expect(client.server.process.wait(TIMEOUT), 0)


def echo(checks, authority, flags):
    with checks.check("TLS, Python: an echo of 4 MiB"), \
            checks.start("echo", "--listen", "127.0.0.1:0", *flags) as server:
        client = Client(authority, server)
        context = client.context()
        context.set_alpn_protocols([])
        data = os.urandom(1 << 20) * 4
        with client.connect(context) as connection:
            for start in range(0, len(data), 1 << 16):
                part = data[start:start + (1 << 16)]
                connection.sendall(part)
                received = b""
                while len(received) < len(part):
                    received += connection.recv(1 << 16)
                assert received == part, "other bytes came back"
