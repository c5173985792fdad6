"""The processes of this process's namespace, and their sockets."""

import contextlib
import os
import pathlib
import re

PROC = pathlib.Path("/proc")
# States in /proc/net/tcp: established, listening. And a flag in /proc/net/unix, where connected
# sockets may be between a process and its child.
TCP_STATES = {"01", "0A"}
UNIX_LISTENS = 0x10000


def running(group=None):
    """The ids of the processes that run, of one process group or of all, and their commands."""
    found = {}
    for path in PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            name, rest = (path / "stat").read_text().rsplit(")", 1)
            state, _, process_group = rest.split()[:3]
            if state not in "ZX" and group in (None, int(process_group)):
                command = (path / "cmdline").read_text().replace("\0", " ").strip()
                found[int(path.name)] = command or name.partition("(")[2]
    return found


def sockets():
    """The inodes of the sockets that listen, or are connected by TCP."""
    found = set()
    for name in ("tcp", "tcp6"):
        for line in (PROC / "net" / name).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] in TCP_STATES:
                found.add(fields[9])
    for line in (PROC / "net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[3], 16) & UNIX_LISTENS:
            found.add(fields[6])
    return found


def has_socket(processes):
    """Whether one of these processes listens or is connected."""
    inodes = set()
    for process in processes:
        with contextlib.suppress(OSError):
            for descriptor in (PROC / str(process) / "fd").iterdir():
                with contextlib.suppress(OSError):
                    inodes |= set(re.findall(r"^socket:\[(\d+)\]$", os.readlink(descriptor)))
    return bool(inodes & sockets())


def signal_all(processes, *numbers):
    for process in processes:
        for number in numbers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)


def reap():
    """Collects processes whose parents have ended: this is the init process of its namespace."""
    with contextlib.suppress(ChildProcessError):
        while os.getpid() == 1 and os.waitpid(-1, os.WNOHANG)[0]:
            pass
