"""Tests `sockeye echo` with Python clients, and `sockeye send` with Python servers."""

import pathlib
import re
import socket
import subprocess
import sys
import threading

from running import TIMEOUT, expect, receive_all

HERE = pathlib.Path(__file__).resolve().parent
TOUR = HERE.parent.parent / "examples/tour"


def python(program, *words):
    """Runs a program of this folder, or with a path of its own, to its end."""
    command = [sys.executable, "-B", HERE / program, *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=TIMEOUT).stdout


class PythonServer:
    """A server of this folder, or with a path of its own, on a free port."""

    def __init__(self, program):
        self.process = subprocess.Popen(
            [sys.executable, "-Bu", HERE / program, "127.0.0.1", "0"],
            stdout=subprocess.PIPE, text=True)
        self.port = int(re.search(r"\d+$", self.process.stdout.readline().strip())[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def run(checks, _folder):
    with checks.check("echo: the server starts"), \
            checks.start("echo", "--listen", "127.0.0.1:0") as server:
        with checks.check("echo: Python's blocking client"):
            out = python(TOUR / "01_echo/client.py", *server.address)
            assert "Hello World" in out, out
        for count in (2, 200):
            with checks.check(f"echo: Python's client with {count} connections"):
                out = python(TOUR / "05_many/client.py", *server.address, count)
                expect(out.count("complete"), count)
        with checks.check("echo: 16 MiB and a half-close, nothing lost"):
            many_bytes(server)
    sending(checks)


def many_bytes(server):
    sent = bytes(range(256)) * (16 << 12)
    with server.connect() as connection:
        def write():
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        received = receive_all(connection)
        writer.join(TIMEOUT)
    assert received == sent, f"{len(received)} of {len(sent)} bytes, or others"


def sending(checks):
    with checks.check("send: to Python's blocking server"), \
            PythonServer(TOUR / "01_echo/server.py") as server:
        done = checks.run("send", f"tcp://127.0.0.1:{server.port}", "Hello World")
        expect(done.returncode, 0, done.stderr)
        assert "Hello World" in done.stdout, done.stdout
    with checks.check("send: three connections to Python's selecting server"), \
            PythonServer(TOUR / "04_readiness/server.py") as server:
        target = f"tcp://127.0.0.1:{server.port}"
        done = checks.run("send", target, "Message 1.", "Message 2.", "--connections", 3)
        expect(done.returncode, 0, done.stderr)
        assert done.stdout.count("Message 2.") >= 3, done.stdout
    with checks.check("send: standard input"), \
            PythonServer(TOUR / "04_readiness/server.py") as server:
        done = checks.run("send", f"tcp://127.0.0.1:{server.port}", input="from a pipe")
        expect(done.returncode, 0, done.stderr)
        assert "from a pipe" in done.stdout, done.stdout
    with checks.check("send: our own echo"), \
            checks.start("echo", "--listen", "127.0.0.1:0") as server:
        done = checks.run("send", server.url, "Hello", "World", "--connections", 50)
        expect(done.returncode, 0, done.stderr)
    with checks.check("send: a refused connection is an error"):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        done = checks.run("send", f"tcp://127.0.0.1:{port}", "Hello")
        expect(done.returncode, 1)
        assert "refused" in (done.stdout + done.stderr).lower(), done.stderr
    with checks.check("send: a server that closes early is an error"):
        early_close(checks)


def early_close(checks):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve():
            peer, _ = listener.accept()
            with peer:
                peer.sendall(peer.recv(1024)[:3])
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        done = checks.run("send", f"tcp://127.0.0.1:{listener.getsockname()[1]}", "Hello World")
        thread.join(TIMEOUT)
    expect(done.returncode, 1)
    assert done.stdout + done.stderr, "without a word"
