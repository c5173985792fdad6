"""Code that all checks share: runs the binary, creates a folder to serve, and counts checks."""

import contextlib
import os
import queue
import re
import socket
import subprocess
import threading
import urllib.parse

TIMEOUT = 20  # seconds before a wait fails
BIG = 24 << 20
SECRET = b"outside the folder"
ADDRESS = r"(?:https?|wss?|tcp|tls|message(?:\+tls)?)://[\w.:\[\]-]+|unix:\S+"


class Checks:
    """Counts checks, and starts the binary for them."""

    def __init__(self, binary, root, what="foreign clients"):
        self.binary = binary
        self.root = root
        self.what = what
        self.passed = 0
        self.failed = []

    @contextlib.contextmanager
    def check(self, name):
        """Runs one check, which passes unless it raises an exception."""
        try:
            yield
        except Exception as error:  # the other checks must still run
            self.failed.append(name)
            print(f"FAIL  {name}: {type(error).__name__}: {error}", flush=True)
        else:
            self.passed += 1
            print(f"ok    {name}", flush=True)

    def start(self, *words, **more):
        """Starts the binary, and waits until it prints its address."""
        return Served(subprocess.Popen(
            [self.binary, *map(str, words)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            **more,
        ))

    def run(self, *words, **more):
        """Runs the binary to its end."""
        return subprocess.run(
            [self.binary, *map(str, words)],
            capture_output=True, text=True, timeout=TIMEOUT, **more,
        )

    def summary(self):
        """Prints the count. Returns the exit code."""
        print(f"\n{self.what}: {self.passed} passed, {len(self.failed)} failed")
        return 1 if self.failed else 0


class Served:
    """A running server, for a `with` statement."""

    def __init__(self, process):
        self.process = process
        self.printed = []
        self.errors = []
        self._lines = queue.Queue()
        self._threads = [
            threading.Thread(target=self._read, args=(process.stdout, self.printed, True)),
            threading.Thread(target=self._read, args=(process.stderr, self.errors, False)),
        ]
        for thread in self._threads:
            thread.daemon = True
            thread.start()
        try:
            self.url = self._find_address()
        except Exception:
            self.__exit__()
            raise

    def _read(self, stream, into, announce):
        for line in stream:
            into.append(line)
            if announce:
                self._lines.put(line)
        if announce:
            self._lines.put(None)

    def _find_address(self):
        while (line := self._lines.get(timeout=TIMEOUT)) is not None:
            if found := re.search(ADDRESS, line):
                return found[0]
        raise RuntimeError(f"ended without an address: {''.join(self.errors).strip()}")

    @property
    def address(self):
        """Host and port."""
        parts = urllib.parse.urlsplit(self.url)
        return parts.hostname, parts.port

    def connect(self):
        return socket.create_connection(self.address, timeout=TIMEOUT)

    def wait_for_output(self):
        """Waits until every process that could print has ended."""
        for thread in self._threads:
            thread.join(TIMEOUT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Folder:
    """A folder with all kinds of files, and a secret file beside it."""

    def __init__(self, parent):
        self.parent = parent
        self.root = parent / "served"
        (self.root / "sub").mkdir(parents=True)
        (self.root / ".well-known").mkdir()
        self.big = os.urandom(1 << 20) * (BIG >> 20)
        for name, content in {
            "index.html": b"<!doctype html><title>x</title>home",
            "hello.txt": b"Hello World\n",
            "with space.txt": b"spaced\n",
            "sub/index.html": b"<!doctype html><title>x</title>sub",
            "big.bin": self.big,
            ".hidden": SECRET,
            ".well-known/note.txt": b"known\n",
        }.items():
            (self.root / name).write_bytes(content)
        (parent / "secret.txt").write_bytes(SECRET)
        (self.root / "way-out.txt").symlink_to(parent / "secret.txt")
        (self.root / "way-up").symlink_to(parent)


def expect(actual, wanted, what=""):
    """Raises unless two values are equal."""
    if actual != wanted:
        raise AssertionError(f"{what} {actual!r:.200} instead of {wanted!r:.200}".strip())


def receive_all(connection):
    """Returns all bytes until the end of input."""
    parts = []
    while part := connection.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)
