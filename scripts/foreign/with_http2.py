"""Tests HTTP/2 with curl, nghttp, h2load, Node and httpx."""

import hashlib
import json
import pathlib
import re
import shutil
import subprocess

from authority import Authority
from environment import python_with
from running import TIMEOUT, expect

HERE = pathlib.Path(__file__).resolve().parent
HTTPX = {"httpx": "0.28.1", "h2": "4.4.1"}
LARGE = 1 << 20  # bytes of an upload
LONG = 60  # seconds for a program that does much


def run(checks, folder):
    authority = Authority(folder.parent / "authority-http2")
    (folder.root / "mebibyte.bin").write_bytes(folder.big[:1 << 20])
    (folder.root / "larger.bin").write_bytes(folder.big + folder.big[:12 << 20])
    words = ("http", folder.root, "--listen", "127.0.0.1:0")
    for name, flags in [("HTTP/2", ()), ("HTTP/2 over TLS", authority.flags())]:
        ca = authority.certificate if flags else None
        with checks.check(f"{name}: the folder is served"), checks.start(*words, *flags) as server:
            url = server.url.replace("127.0.0.1", "localhost") if ca else server.url
            with_curl(checks, Curl(ca), name, url, folder)
            with_nghttp(checks, name, url, ca, folder)
            with_node(checks, name, url, ca)
            with_httpx(checks, name, url, ca)
        with checks.check(f"{name}: messages are served"), \
                checks.start("message", "--listen", "127.0.0.1:0", *flags) as server:
            port = server.address[1]
            messages(checks, Curl(ca), name,
                     f"https://localhost:{port}" if ca else f"http://localhost:{port}", folder)


class Curl:
    """Runs curl, which has to speak HTTP/2."""

    def __init__(self, ca):
        self.flags = ["--http2", "--cacert", ca] if ca else ["--http2-prior-knowledge"]

    def __call__(self, *words):
        command = ["curl", "--silent", "--show-error", "--max-time", LONG, *self.flags, *words]
        return subprocess.run([*map(str, command)], capture_output=True, check=True).stdout

    def status(self, *words):
        """The version and the status."""
        return self("--output", "/dev/null", "--write-out", "%{http_version} %{http_code}",
                    *words).decode()


def with_curl(checks, curl, name, url, folder):
    with checks.check(f"{name}, curl: GET, HEAD, a range, 304, 404 and 405"):
        expect(curl(f"{url}/hello.txt"), b"Hello World\n")
        expect(curl.status(f"{url}/hello.txt"), "2 200")
        head = curl("--head", f"{url}/hello.txt").decode()
        assert head.startswith("HTTP/2 200") and "content-length: 12" in head, head
        expect(curl("--range", "6-10", f"{url}/hello.txt"), b"World")
        expect(curl.status("--range", "6-10", f"{url}/hello.txt"), "2 206")
        etag = re.search(r"etag: (.*)\r", head)[1]
        expect(curl.status("--header", f"If-None-Match: {etag}", f"{url}/hello.txt"), "2 304")
        expect(curl.status(f"{url}/nothing"), "2 404")
        expect(curl.status("--data", "a=b", f"{url}/hello.txt"), "2 405")
        expect(curl.status("--header", f"X: {'a' * 60_000}", url), "2 431")
    with checks.check(f"{name}, curl: files of 1 MiB and 36 MiB arrive whole"):
        for file in ("mebibyte.bin", "larger.bin"):
            right = hashlib.sha256((folder.root / file).read_bytes()).hexdigest()
            expect(hashlib.sha256(curl(f"{url}/{file}")).hexdigest(), right, file)
    if not url.startswith("https:"):
        return  # curl 7 can't use one connection for several transfers then
    with checks.check(f"{name}, curl: 50 files at once on one connection"):
        out = folder.parent / "parallel"
        out.mkdir(exist_ok=True)
        many = [word for number in range(50)
                for word in (f"{url}/hello.txt?{number}", "--output", out / str(number))]
        used = curl("--parallel", "--parallel-max", 50, "--write-out", "%{num_connects}\n", *many)
        expect({(out / str(number)).read_bytes() for number in range(50)}, {b"Hello World\n"})
        assert used.count(b"1") < 50, used


def with_nghttp(checks, name, url, ca, folder):
    def nghttp(*words):
        done = subprocess.run(["nghttp", "--timeout", str(TIMEOUT), *map(str, words)],
                              capture_output=True, timeout=LONG)
        expect(done.returncode, 0, done.stderr.decode()[-300:])
        return done.stdout

    with checks.check(f"{name}, nghttp: a small file, a large one, and 20 of them 20 times"):
        expect(nghttp(f"{url}/hello.txt"), b"Hello World\n")
        expect(len(nghttp(f"{url}/larger.bin")), 36 << 20)
        out = nghttp("--null-out", "--stat", "--multiply", 20, *[
            f"{url}/hello.txt?{number}" for number in range(20)]).decode()
        expect(len(re.findall(r"^ *\d+ .* 200 +12 ", out, re.MULTILINE)), 400, out[-300:])
    with checks.check(f"{name}, nghttp: padding, small windows, CONTINUATION, a small table"):
        for words in (["--padding", 255], ["--window-bits", 10], ["--continuation"],
                      ["--header-table-size", 0], ["--max-concurrent-streams", 1],
                      ["--no-dep"], ["--hexdump"]):
            assert b"Hello World" in nghttp(*words, f"{url}/hello.txt"), words
    with checks.check(f"{name}, nghttp: an upload with trailers gets 405"):
        upload = folder.parent / "upload"
        upload.write_bytes(bytes(LARGE))
        out = nghttp("--verbose", "--no-verify-peer", "--data", upload, "--trailer", "x-sum: 1",
                     f"{url}/hello.txt").decode(errors="replace")
        assert ":status: 405" in out, out[-300:]
    with checks.check(f"{name}, h2load: 20,000 requests on 10 connections of 32 streams"):
        done = subprocess.run(["h2load", "-n", "20000", "-c", "10", "-m", "32", f"{url}/hello.txt"],
                              capture_output=True, text=True, timeout=LONG)
        assert "status codes: 20000 2xx" in done.stdout, done.stdout[-500:] + done.stderr[-300:]
        assert "20000 succeeded, 0 failed" in done.stdout, done.stdout[-500:]
    if not ca:
        with checks.check("HTTP/1.1, nghttp: an upgrade to h2c is ignored"):
            done = subprocess.run(["nghttp", "--upgrade", f"{url}/hello.txt"],
                                  capture_output=True, timeout=LONG)
            assert b"upgrade" in (done.stdout + done.stderr).lower(), done


def with_node(checks, name, url, ca):
    if not shutil.which("node"):
        return print(f"SKIPPED: {name} with Node, which is not installed")
    with checks.check(f"{name}, Node: what browsers do, and 1,000 requests at once"):
        command = ["node", HERE / "with_node.js", url, *([ca] if ca else [])]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONG)
        expect(done.returncode, 0, done.stdout + done.stderr[-500:])
    return None


def with_httpx(checks, name, url, ca):
    python = python_with(checks.root / "target/httpx", HTTPX)
    if not python:
        return
    with checks.check(f"{name}, httpx: what scripts do, and 200 requests at once"):
        command = [python, HERE / "with_httpx.py", url, *([ca] if ca else [])]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONG)
        expect(done.returncode, 0, done.stdout + done.stderr[-500:])


def messages(checks, curl, name, url, folder):
    with checks.check(f"{name}, curl: an upload of 1 MiB is read whole"):
        upload = folder.parent / "message"
        value = "a" * LARGE
        upload.write_text(json.dumps({"action": "search", "value": value}))
        got = json.loads(curl("--header", "Content-Type: text/json", "--data-binary", f"@{upload}",
                              url))
        expect(got, {"result": f"No match for '{value}'."})
