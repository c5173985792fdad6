"""Counts the system calls of the first request for a file (a cold file), with strace."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
import urllib.request

from running import TIMEOUT, Checks, Served, expect

SIZE = 200_000
MAX_CALLS = 12
# Calls that don't count: for starting and waking threads, memory, and the event loop, and a debug
# build's check of descriptors that it closes.
NOT_COUNTED = {
    "clone3", "rseq", "set_robust_list", "rt_sigprocmask", "prctl", "sched_getaffinity", "gettid",
    "sigaltstack", "setpriority", "futex", "mmap", "munmap", "mprotect", "madvise", "brk",
    "getrandom", "write", "exit", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait",
    "accept4", "fcntl",
}


def run(checks: Checks, folder):
    if not shutil.which("strace"):
        print("SKIPPED: the calls of a cold file: strace is not installed")
        return
    file = folder.parent / "cold" / "cold.bin"
    file.parent.mkdir()
    file.write_bytes(os.urandom(SIZE))
    trace = folder.parent / "trace"
    with checks.check(f"a cold file of 200 KB takes at most {MAX_CALLS} calls before its first byte"):
        # With -D, the started process becomes the server, and strace runs beside it.
        words = ["strace", "-D", "-f", "-q", "-o", trace, checks.binary, "http", file.parent,
                 "--listen", "127.0.0.1:0", "--workers", "1"]
        process = subprocess.Popen([*map(str, words)], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        with Served(process) as server:
            with urllib.request.urlopen(f"{server.url}/cold.bin", timeout=TIMEOUT) as response:
                expect(len(response.read()), SIZE)
            process.send_signal(signal.SIGTERM)
            process.wait(TIMEOUT)
        calls = between_request_and_response(complete_lines(trace))
        counted = [call for call in calls if call not in NOT_COUNTED]
        assert counted and len(counted) <= MAX_CALLS, f"{len(counted)} calls: {' '.join(counted)}"


def complete_lines(trace: pathlib.Path):
    """The lines of the trace, once strace has written the last one."""
    deadline = time.monotonic() + TIMEOUT
    while not (lines := trace.read_text().splitlines()) or "+++ exited" not in lines[-1]:
        assert time.monotonic() < deadline, "strace has not ended"
        os.sched_yield()
    return lines


def between_request_and_response(lines):
    """The names of the calls after the request was received and before the response is sent.

    Without those of threads that answer no requests: the one for signals may still be starting.
    """
    first = next(at for at, line in enumerate(lines) if "GET /cold.bin" in line)
    last = next(at for at, line in enumerate(lines) if "HTTP/1.1 200 OK" in line)
    named = (re.match(r'(\d+) +prctl\(PR_SET_NAME, "(?!sockeye)', line) for line in lines)
    others = {match[1] for match in named if match}
    calls = (re.match(r"(\d+) +(\w+)\(", line) for line in lines[first + 1:last])
    return [call[2] for call in calls if call and call[1] not in others]
