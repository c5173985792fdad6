"""One bash that runs the commands of a page, on terminals.

The foreground and the background each have a terminal of their own, so that their lines can be told
apart. Nothing reads from a terminal: standard input is empty.
"""

import contextlib
import fcntl
import os
import pty
import re
import selectors
import signal
import struct
import subprocess
import termios
import time
from dataclasses import dataclass

import compare
import processes

COLUMNS, ROWS = 100, 50
POLL = 0.01
# In seconds: for commands; for those that build; and for the background to print what the page shows,
# or to end.
TIMEOUT, LONG_TIMEOUT, LATE = 60, 900, 20

# Runs each command that comes in, and then marks the end of its output. `set -m` gives each job a
# process group, as in a terminal. The shell's own messages about jobs are left out.
LOOP = r"""
set -m
exec 2>/dev/null
while IFS= read -r -d '' -u {requests} __mode && IFS= read -r -d '' -u {requests} __text; do
    case $__mode in
        front) (exit "${__status:-0}"); eval "$__text" {requests}<&- {back}>&- 2>&1 ;;
        back) eval "$__text" >&{back} {requests}<&- {back}>&- 2>&1 ;;
        quiet) eval "$__text" >/dev/null {requests}<&- {back}>&- ;;
    esac
    __status=$?
    printf '\036%s %s\036' "$__status" "${!:-0}"
done
"""
MARK = b"\x1e"
# What bash prints otherwise than with a person in front of it.
NUMBER = re.compile(r"^bash: line \d+: ")
ABOUT_JOBS = re.compile(r"\[\d+\][-+ ] +[A-Z]|bash: +\d+ [A-Z][a-z]+ ")


class Stuck(Exception):
    """A command doesn't end, or the shell has ended: the rest of the page can't run."""


@dataclass
class Done:
    code: int
    front: list[str]
    back: list[str]
    # Whether the lines that the page shows were printed.
    as_shown: bool
    # The process group of the newest job.
    job: int


class Shell:
    def __init__(self, folder, user, environment, timeout=None):
        self.timeout, self.late = timeout or TIMEOUT, min(timeout or LATE, LATE)
        self.output = {"front": b"", "back": b""}
        self.selector = selectors.DefaultSelector()
        terminals = {name: self.terminal(name, user) for name in self.output}
        requests, self.requests = os.pipe()
        descriptors = {"requests": requests, "back": terminals["back"]}
        loop = re.sub(r"\{(requests|back)\}", lambda name: str(descriptors[name[1]]), LOOP)
        self.process = subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-c", loop, "bash"], cwd=folder, env=environment,
            stdin=subprocess.DEVNULL, stdout=terminals["front"], stderr=subprocess.STDOUT,
            pass_fds=descriptors.values(), user=user, group=user, extra_groups=[])
        os.close(requests)

    def terminal(self, name, user):
        """Opens a terminal. Returns the side of the programs."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        os.fchown(theirs, user, user)
        os.set_blocking(ours, False)
        self.selector.register(ours, selectors.EVENT_READ, name)
        return theirs

    def read(self):
        """Reads what has been printed, after waiting for a moment."""
        for key, _ in self.selector.select(POLL):
            with contextlib.suppress(BlockingIOError):
                self.output[key.data] += os.read(key.fd, 1 << 16)
        processes.reap()
        if self.process.pid not in processes.running():
            raise Stuck("the shell has ended")

    def request(self, mode, text):
        os.write(self.requests, f"{mode}\0{text}\0".encode())

    def marked(self, deadline):
        """Waits for the end of a command. Returns its code, the newest job and its output."""
        while self.output["front"].count(MARK) < 2:
            self.read()
            if time.monotonic() > deadline:
                raise Stuck(f"has not ended in time, and printed {self.printed()}")
        front, numbers, self.output["front"] = self.output["front"].split(MARK)
        code, job = map(int, numbers.split())
        lines = [NUMBER.sub("bash: ", line) for line in compare.lines(front)]
        return code, job, [line for line in lines if not ABOUT_JOBS.match(line)]

    def printed(self):
        return [compare.lines(part) for part in self.output.values() if part.strip()]

    def quietly(self, text):
        """Runs a command of our own. Returns its code."""
        self.request("quiet", text)
        return self.marked(time.monotonic() + self.timeout)[0]

    def back(self):
        """The lines of the background since the last command began."""
        return compare.lines(self.output["back"])

    def foreground(self, text, shown):
        """Runs a command to its end."""
        deadline = time.monotonic() + self.time_for(text, self.timeout)
        self.output["back"] = b""
        self.request("front", text)
        code, job, front = self.marked(deadline)
        as_shown = not shown or self.wait_for(lambda: compare.matches(shown, front, self.back()))
        return Done(code, front, self.back(), as_shown, job)

    def background(self, text, shown):
        """Starts a job. Waits until it has printed the lines, or for its socket or its end."""
        self.output["back"] = b""
        self.request("back", text)
        code, job, front = self.marked(time.monotonic() + self.timeout)
        # Any lines may also be none: they tell nothing about the job.
        tells = any(line.strip() != compare.ANY for line in shown)
        is_there = (lambda: self.shows(shown)) if tells else (
            lambda: processes.has_socket(processes.running(job)))
        as_shown = self.wait_for(lambda: is_there() or not processes.running(job),
                                 self.time_for(text, self.late))
        if as_shown and not processes.running(job):
            code = self.quietly(f"wait {job}")
            as_shown = not tells or self.wait_for(is_there)
        return Done(code, front, self.back(), as_shown, job)

    def interrupted(self, text, before, after):
        """Runs a command until it has printed the lines before, then sends Ctrl-C."""
        done = self.background(f"{text} &", before)
        if not done.as_shown:
            return done
        self.output["back"] = b""
        self.request("quiet", f"kill -INT -{done.job}; wait {done.job}")
        code, _, _ = self.marked(time.monotonic() + self.timeout)
        return Done(code, [], self.back(), self.wait_for(lambda: self.shows(after)), done.job)

    @staticmethod
    def time_for(text, otherwise):
        """The timeout of a command."""
        return LONG_TIMEOUT if "cargo " in text or "scripts/" in text else otherwise

    def shows(self, shown):
        return compare.matches(shown, [], self.back())

    def wait_for(self, condition, timeout=None):
        """Waits until a condition is fulfilled. Returns whether it is."""
        deadline = time.monotonic() + (timeout or self.late)
        while not condition():
            if time.monotonic() > deadline:
                return False
            self.read()
        return True

    def end_all(self):
        """Ends everything that the commands have started. Returns those that had to be killed."""
        ours = (os.getpid(), self.process.pid)

        def others():
            return {at: what for at, what in processes.running().items() if at not in ours}

        processes.signal_all(others(), signal.SIGTERM, signal.SIGCONT)
        killed = {} if self.wait_for(lambda: not others()) else others()
        processes.signal_all(killed, signal.SIGKILL)
        self.quietly("wait")
        return killed
