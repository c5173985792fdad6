"""A server as a process, and the resources that it uses: descriptors, memory, CPU time, jobs."""

import os
import pathlib
import re
import resource
import select
import signal
import subprocess
import threading
import time

TIMEOUT = 20  # seconds before a wait fails
TICK = 1 / os.sysconf("SC_CLK_TCK")
SAMPLE = 0.03  # seconds between two counts of descriptors


def until(condition, timeout=TIMEOUT):
    """Calls `condition` until it returns a true value or the timeout has passed. Returns the last
    value."""
    end = time.monotonic() + timeout
    while not (answer := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return answer


class Usage:
    """The resources that processes use, in sum."""

    def __init__(self, pids):
        self.pids = pids

    def descriptors(self):
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.pids)

    def open_files(self):
        """The paths of the open descriptors."""
        found = []
        for pid in self.pids:
            for number in os.listdir(f"/proc/{pid}/fd"):
                try:
                    found.append(os.readlink(f"/proc/{pid}/fd/{number}"))
                except FileNotFoundError:
                    pass  # closed since it was listed
        return found

    def _status(self, key):
        total = 0
        for pid in self.pids:
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            if found := re.search(rf"^{key}:\s+(\d+) kB", status, re.MULTILINE):
                total += int(found[1])
        return total / 1024

    def resident(self):
        """Resident memory, in MiB."""
        return self._status("VmRSS")

    def peak(self):
        """Peak resident memory, in MiB."""
        return self._status("VmHWM")

    def seconds(self):
        """CPU time, in seconds."""
        total = 0
        for pid in self.pids:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total * TICK

    def wait_until_quiet(self, timeout):
        """Waits until the CPU usage is below a third of a core, up to `timeout` seconds."""
        end = time.monotonic() + timeout
        before = self.seconds()
        while time.monotonic() < end:
            time.sleep(0.3)
            now = self.seconds()
            if now - before <= 0.1:
                return
            before = now


class Peak(threading.Thread):
    """Samples the number of descriptors until it is stopped, and keeps the maximum."""

    def __init__(self, usage):
        super().__init__(daemon=True)
        self.usage = usage
        self.descriptors = usage.descriptors()
        self._stopped = threading.Event()
        self.start()

    def run(self):
        while not self._stopped.wait(SAMPLE):
            try:
                self.descriptors = max(self.descriptors, self.usage.descriptors())
            except FileNotFoundError:
                return  # the process ended

    def stop(self):
        self._stopped.set()
        self.join()


class Program:
    """A running program that prints its address, for a `with` statement. Its standard error is a
    file, so that the program never waits for a reader."""

    def __init__(self, directory, words, limits=()):
        """`limits` are pairs of a resource (`RLIMIT_NOFILE`) and its value, soft and hard."""
        directory = pathlib.Path(directory)
        self.errors = directory / f"errors-{time.monotonic_ns()}"
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [*map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
                preexec_fn=lambda: [resource.setrlimit(which, (value, value))
                                    for which, value in limits])
        self.usage = Usage([self.process.pid])
        try:
            self.address = self._address()
        except BaseException:
            self.__exit__()
            raise

    def _address(self):
        printed = b""
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            if select.select([self.process.stdout], [], [], 0.5)[0]:
                part = os.read(self.process.stdout.fileno(), 4096)
                printed += part
                if found := re.search(rb"(?:https?|wss?|message)://([\d.]+):(\d+)\s", printed):
                    return found[1].decode(), int(found[2])
                if not part:
                    break
        raise RuntimeError(f"no address: {self.errors.read_text()[-500:]}")

    def alive(self):
        return self.process.poll() is None

    def position(self):
        """The size of the standard error so far, for `jobs`."""
        return self.errors.stat().st_size

    def jobs(self, client, since=0, what=""):
        """The number of jobs that the log reports for a client, after a position, of a kind."""
        with self.errors.open("rb") as errors:
            errors.seek(since)
            lines = errors.read().decode(errors="replace").splitlines()
        return sum(
            "job started" in line and bool(re.search(rf'client="?{re.escape(client)}\b', line))
            and bool(re.search(rf'kind="?{what}', line)) for line in lines)

    def closing(self, client, port):
        """Why the log says that a connection was closed: the code and the reason. Two empty texts if
        it says nothing."""
        found = re.search(rf"closed peer={re.escape(client)}:{port} .*?code=(\S+) reason=(.*)",
                          self.errors.read_text(errors="replace"))
        return found.groups() if found else ("", "")

    def terminate(self, timeout):
        """Sends SIGTERM. Returns the exit code, or None if the process is still there."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.alive():
            self.process.kill()
        try:
            self.process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            pass  # it waits for a hanging file system, and ends with that
        self.process.stdout.close()
