"""Starting and stopping."""

import signal

from running import TIMEOUT, expect

SLOW_READ = 256 << 10


def run(checks, folder):
    with checks.check("stop: SIGTERM lets a slow download finish, then the exit code is 0"):
        drains(checks, folder)
    for name in ("SIGTERM", "SIGINT"):
        with checks.check(f"stop: {name} ends a server with only an idle connection"), \
                checks.start("http", folder.root, "--listen", "127.0.0.1:0") as server:
            with server.connect() as idle:
                idle.sendall(b"GET /hello.txt HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert idle.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
                server.process.send_signal(getattr(signal, name))
                expect(server.process.wait(TIMEOUT), 0)
    with checks.check("start: an address in use is an error that names it"), \
            checks.start("http", folder.root, "--listen", "127.0.0.1:0") as server:
        port = server.address[1]
        done = checks.run("http", folder.root, "--listen", f"127.0.0.1:{port}")
        assert done.returncode not in (0, 101), f"exit code {done.returncode}"
        assert str(port) in done.stderr, done.stderr
    with checks.check("start: a missing folder is an error that names it"):
        done = checks.run("http", folder.parent / "nowhere", "--listen", "127.0.0.1:0")
        assert done.returncode not in (0, 101), f"exit code {done.returncode}"
        assert "nowhere" in done.stderr, done.stderr


def drains(checks, folder):
    with checks.start("http", folder.root, "--listen", "127.0.0.1:0") as server:
        with server.connect() as slow:
            slow.sendall(b"GET /big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n")
            received = slow.recv(SLOW_READ)
            server.process.send_signal(signal.SIGTERM)
            refused(server)
            expect(server.process.poll(), None, "ended in the middle of a response:")
            parts = [received]
            while part := slow.recv(SLOW_READ):
                parts.append(part)
        body = b"".join(parts).partition(b"\r\n\r\n")[2]
        assert body == folder.big, f"{len(body)} of {len(folder.big)} bytes, or wrong bytes"
        expect(server.process.wait(TIMEOUT), 0)


def refused(server):
    """Connects until the server refuses: the kernel may deliver a signal late."""
    for _ in range(100_000):
        try:
            server.connect().close()
        except (ConnectionRefusedError, ConnectionResetError):
            return
    raise AssertionError("it still accepts connections")
