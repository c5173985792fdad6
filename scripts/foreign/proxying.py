"""Starts a proxy in front of the binary."""

import contextlib
import os
import shutil
import socket
import subprocess
import time

from running import TIMEOUT

PROXIES = ("nginx", "haproxy", "h2o")


def find(program):
    """The path of a proxy, which may be outside of a user's PATH. None if it isn't installed."""
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")


def missing(*programs):
    """A message about proxies that are not installed. None if all are."""
    names = " ".join(program for program in programs if not find(program))
    return f"not installed: {names} (apt-get install {names})" if names else None


@contextlib.contextmanager
def proxy(program, root, config, host="127.0.0.1"):
    """Runs a proxy, for a `with` statement. Yields its port. `config` makes a configuration for a
    port."""
    for _ in range(5):  # Another process may bind the port first.
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.create_server((host, 0), family=family) as free:
            port = free.getsockname()[1]
        path = root / f"{program}-{port}.conf"
        path.write_text(config(port))
        process = subprocess.Popen(command(program, root, path), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            if is_listening(process, host, port):
                yield port
                return
        finally:
            process.terminate()
            errors = process.communicate(timeout=TIMEOUT)[0]
        if "in use" not in errors:
            raise RuntimeError(f"{program} has not started: {errors}")
    raise RuntimeError("no port was free")


def command(program, root, path):
    """The command that runs a proxy in the foreground."""
    return [find(program), *{
        "nginx": ["-p", root, "-c", path, "-e", "stderr"],
        "haproxy": ["-db", "-f", path],
        "h2o": ["-m", "worker", "-c", path],
    }[program]]


def is_listening(process, host, port):
    """Waits until a proxy listens. Returns False if it ended instead."""
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection((host, port), timeout=TIMEOUT).close()
            return True
        except ConnectionRefusedError:
            time.sleep(0.02)
    return False


def nginx(root, servers):
    """A configuration of nginx with these blocks in `http`."""
    temporary = " ".join(f"{kind}_temp_path {root}/{kind};"
                         for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    user = "user root;" if os.getuid() == 0 else ""
    return (f"daemon off; pid {root}/nginx.pid; {user}\n"
            f"events {{ worker_connections 64; }}\n"
            f"http {{ access_log off; {temporary}\n{servers}\n}}\n")
