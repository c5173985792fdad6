"""Runs attacks against servers: the attack, the victim's requests during it, the resources used,
and the verdict. Prints a table of all."""

import contextlib
import dataclasses
import resource
import time

from nginx import FILES, NGINX, PROXY, Nginx
from peers import ATTACKER, VICTIM, Victim, fetch, reset
from program import Peak, Program

HOLD = 6  # maximum duration of an attack, in seconds
AFTER = 15  # seconds until memory and CPU must be idle after the attack
# Jobs that may start after the attacker left, because the server had not noticed that yet.
IN_FLIGHT = 8
PEAK = 160  # maximum resident memory, in MiB


@dataclasses.dataclass
class Limits:
    """The resources that a server may use. None: not checked."""

    descriptors: int | None = None
    peak: float | None = PEAK
    # Growth of the resident memory after the attack, in MiB: caches may have grown.
    left: float | None = 64
    # Jobs of the attacker that started after it left.
    jobs: int | None = None
    # Seconds of CPU time, in total and after the attacker left.
    seconds: float | None = None
    seconds_after: float | None = None
    # Compression jobs, in total.
    compressions: int | None = None


@dataclasses.dataclass
class Row:
    attack: str
    server: str
    descriptors: int | str = ""
    peak: float | str = ""
    after: float | str = ""
    jobs: int | str = ""
    victim: str = ""
    slowest: float | str = ""
    seconds: float | str = ""
    problems: list = dataclasses.field(default_factory=list)
    # Rows of nginx are for comparison, and can't fail.
    judged: bool = True

    def expect(self, condition, otherwise):
        if not condition:
            self.problems.append(otherwise)

    def verdict(self):
        if not self.judged:
            return "-"
        return "FAILED" if self.problems else "passed"

    def cells(self):
        def cell(value):
            return f"{value:.1f}" if isinstance(value, float) else str(value)
        return [*map(cell, (self.attack, self.server, self.descriptors, self.peak, self.after,
                            self.jobs, self.victim, self.slowest, self.seconds)), self.verdict()]


COLUMNS = ["attack", "server", "descriptors", "MiB peak", "after", "jobs after", "victim",
           "slowest s", "CPU s", "verdict"]


@contextlib.contextmanager
def watched(row, server, victim):
    """Makes the victim's requests during an attack, and fills the row with what the server used."""
    peak, seconds = Peak(server.usage), server.usage.seconds()
    victim.start()
    victim.wait_for(5, 10)
    yield
    victim.wait_for(victim.requests_made + 10, 10)
    victim.stop()
    peak.stop()
    row.seconds = server.usage.seconds() - seconds
    row.descriptors, row.peak = peak.descriptors, server.usage.peak()
    row.after = server.usage.resident()
    row.victim, row.slowest = f"{victim.answered}/{victim.requests_made}", victim.slowest
    row.expect(server.alive(), "the server has ended")
    row.expect(victim.answered == victim.requests_made and victim.answered,
               f"the victim has {row.victim} answers: {'; '.join(victim.wrong[:2])}")


class Trials:
    """Runs attacks, and keeps the results."""

    def __init__(self, binary, root, directory, folder):
        self.binary = binary
        self.root = root
        self.directory = directory
        self.folder = folder
        self.rows = []
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def start(self, *words, limits=()):
        return Program(self.directory, [self.binary, *words], limits)

    def http(self, *flags, limits=(), folder=None):
        return self.start("http", folder or self.folder.root, "--listen", "127.0.0.1:0", "--log",
                          "debug", *flags, limits=limits)

    @contextlib.contextmanager
    def checked(self, attack, server="ours"):
        """Keeps a row. An exception becomes one of its problems."""
        row = Row(attack, server)
        began = time.monotonic()
        try:
            yield row
        except Exception as error:  # the other attacks must still be tried
            row.problems.append(f"{type(error).__name__}: {error}")
        self.rows.append(row)
        took = time.monotonic() - began
        print(f"{row.verdict():7} {attack}, {server} ({took:.0f} s)", flush=True)
        for problem in row.problems:
            print(f"        {problem}", flush=True)

    def attack(self, name, begin, victim, limits, flags=(), ours=True, proxied=True, nginx=True,
               ulimit=None, pause=0.01):
        """Runs an attack against Sockeye, against Sockeye behind nginx, and against nginx.

        `begin` gets an address and returns the attacker's connections, which are reset at the end of
        the attack. `victim` makes the victim's requests. The victim waits for `pause` seconds
        between two requests."""
        more = [(resource.RLIMIT_NOFILE, ulimit)] if ulimit else []
        if ours:
            with self.checked(name) as row, self.http(*flags, limits=more) as server:
                self._run(row, server, begin, Victim(server.address, victim(), pause),
                          limits)
        if proxied and NGINX:
            # In 2 of 100 runs, nginx doesn't forward a response to a client whose request arrived at
            # the start of the attack. So an attack that fails behind nginx runs once more.
            for is_last in (False, True):
                with self.checked(name, "ours behind nginx") as row, \
                        self.http(*flags, "--trusted-proxy", "127.0.0.1", limits=more) as server, \
                        self.proxy(server) as proxy:
                    self._run(row, server, begin, Victim(proxy.address, victim(), pause), limits)
                if is_last or not row.problems:
                    break
                self.rows.remove(row)
        if nginx and NGINX:
            with self.checked(name, "nginx") as row, \
                    Nginx(self.directory, FILES, root=self.folder.root) as server:
                row.judged = False
                self._run(row, server, begin, Victim(server.address, victim(), pause),
                          Limits(peak=None, left=None))

    def proxy(self, server):
        host, port = server.address
        return Nginx(self.directory, PROXY, host=host, port=port)

    def _run(self, row, server, begin, victim, limits):
        usage = server.usage
        fetch(victim.address, "/small.txt")
        # The kernel knows nothing of this name, so it takes a job: `_problems` looks for it.
        fetch(victim.address, f"/{time.monotonic_ns()}")
        resident, seconds = usage.resident(), usage.seconds()
        peak = Peak(usage)
        held = []
        try:
            victim.start()
            held = begin(victim.address)
            if held:
                usage.wait_until_quiet(HOLD)
            victim.wait_for(victim.requests_made + 10, HOLD)
        finally:
            for connection in held:
                reset(connection)
        left = usage.seconds()
        position = server.position() if row.judged else 0
        victim.wait_for(victim.requests_made + 10, HOLD)
        victim.stop()
        usage.wait_until_quiet(AFTER)
        row.descriptors, row.peak = peak.descriptors, usage.peak()
        peak.stop()
        end = time.monotonic() + AFTER
        while limits.left and usage.resident() > resident + limits.left and time.monotonic() < end:
            time.sleep(0.2)
        row.after = usage.resident()
        row.seconds = usage.seconds() - seconds
        after = usage.seconds() - left
        row.victim, row.slowest = f"{victim.answered}/{victim.requests_made}", victim.slowest
        if row.judged:
            row.jobs = server.jobs(ATTACKER, position)
            compressions = server.jobs(ATTACKER, what="compress")
            row.problems += self._problems(row, server, victim, limits, resident, after, compressions)
        else:
            row.problems += victim.wrong[:1]

    @staticmethod
    def _problems(row, server, victim, limits, resident, after, compressions):
        if not server.alive():
            yield "the server has ended"
        if victim.answered < victim.requests_made or not victim.requests_made:
            yield (f"the victim got {victim.answered} of {victim.requests_made} responses: "
                   + "; ".join(victim.wrong[:2]))
        for what, actual, limit in [
            ("descriptors at most", row.descriptors, limits.descriptors),
            ("MiB at most", row.peak, limits.peak),
            ("MiB more than before the attack", row.after - resident, limits.left),
            ("jobs started after the attacker left", row.jobs, limits.jobs),
            ("compressions", compressions, limits.compressions),
            ("CPU seconds", row.seconds, limits.seconds),
            ("CPU seconds after the attacker left", after, limits.seconds_after),
        ]:
            if limit is not None and actual > limit:
                yield f"{actual:.1f} {what}; the limit is {limit}"
        if limits.jobs is not None or limits.compressions is not None:
            if not server.jobs(VICTIM):
                yield ("the log has no job of the victim, "
                       "so its count of the attacker's jobs is meaningless")


def summary(rows):
    """Prints the table and the count. Returns the exit code."""
    table = [COLUMNS, *[row.cells() for row in rows]]
    widths = [max(map(len, column)) for column in zip(*table)]
    print()
    for cells in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip())
    judged = [row for row in rows if row.judged]
    failed = sum(bool(row.problems) for row in judged)
    print(f"\nattacks: {len(judged) - failed} passed, {failed} failed")
    return 1 if failed else 0
