"""One attack on one server: the attack, the victim's requests meanwhile, what was used, the verdict;
and the table of all of them."""

import contextlib
import dataclasses
import resource
import time

from nginx import FILES, NGINX, PROXY, Nginx
from peers import ATTACKER, VICTIM, Victim, ask, reset
from program import Peak, Program

HOLD = 6  # seconds for which an attack lasts at most
AFTER = 15  # seconds until memory and processor must be at rest once the attacker has left
# Jobs that may start after the attacker left: those for which the news came too late.
UNDER_WAY = 8
PEAK = 160  # MiB in memory at most


@dataclasses.dataclass
class Limits:
    """What a server may use. None: not checked."""

    descriptors: int | None = None
    peak: float | None = PEAK
    # MiB that may be left above what it was before the attack: caches have their size.
    left: float | None = 64
    # Of the attacker, started after it left.
    jobs: int | None = None
    # Seconds of processor time, in all and after the attacker left.
    seconds: float | None = None
    seconds_after: float | None = None
    # Of compressing, in all.
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
    # nginx's figures stand beside ours; whether they are good is not asked.
    judged: bool = True

    def expect(self, holds, otherwise):
        if not holds:
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


TITLES = ["attack", "server", "descriptors", "MiB peak", "after", "jobs after", "victim", "slowest s",
          "CPU s", "verdict"]


class Trials:
    """Runs attacks, and keeps what came of them."""

    def __init__(self, binary, root, place, folder):
        self.binary = binary
        self.root = root
        self.place = place
        self.folder = folder
        self.rows = []
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def start(self, *words, limits=()):
        return Program(self.place, [self.binary, *words], limits)

    def http(self, *flags, limits=(), folder=None):
        return self.start("http", folder or self.folder.root, "--listen", "127.0.0.1:0", "--log",
                          "debug", *flags, limits=limits)

    @contextlib.contextmanager
    def checked(self, attack, server="ours"):
        """A row that is kept, whatever happens. What is raised is a problem of it."""
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

    def attack(self, name, begin, victim, limits, flags=(), ours=True, behind=True, nginx=True,
               ulimit=None, pause=0.01):
        """Tries an attack on ours, on ours behind nginx and on nginx.

        `begin` gets an address, and returns the connections that the attacker holds; they are reset
        when the attacker leaves. `victim` makes the requests of a victim, who waits for `pause` seconds
        between two of them."""
        more = [(resource.RLIMIT_NOFILE, ulimit)] if ulimit else []
        if ours:
            with self.checked(name) as row, self.http(*flags, limits=more) as server:
                self._try(row, server, begin, Victim(server.address, victim(), pause),
                          limits)
        if behind and NGINX:
            # In 2 of 100 runs nginx keeps a response that it has, from a client that asks when the
            # attack begins: the connection that brought it is used again, and the client hears
            # nothing. So what fails behind it is tried once more.
            for is_last in (False, True):
                with self.checked(name, "ours behind nginx") as row, \
                        self.http(*flags, "--trusted-proxy", "127.0.0.1", limits=more) as server, \
                        self.proxy(server) as proxy:
                    self._try(row, server, begin, Victim(proxy.address, victim(), pause), limits)
                if is_last or not row.problems:
                    break
                self.rows.remove(row)
        if nginx and NGINX:
            with self.checked(name, "nginx") as row, \
                    Nginx(self.place, FILES, root=self.folder.root) as server:
                row.judged = False
                self._try(row, server, begin, Victim(server.address, victim(), pause),
                          Limits(peak=None, left=None))

    def proxy(self, server):
        host, port = server.address
        return Nginx(self.place, PROXY, host=host, port=port)

    def _try(self, row, server, begin, victim, limits):
        usage = server.usage
        ask(victim.address, "/small.txt")
        resident, seconds = usage.resident(), usage.seconds()
        peak = Peak(usage)
        held = []
        try:
            victim.start()
            held = begin(victim.address)
            if held:
                usage.wait_until_quiet(HOLD)
            victim.wait_for(victim.asked + 10, HOLD)
        finally:
            for connection in held:
                reset(connection)
        left = usage.seconds()
        position = server.position() if row.judged else 0
        victim.wait_for(victim.asked + 10, HOLD)
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
        row.victim, row.slowest = f"{victim.answered}/{victim.asked}", victim.slowest
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
        if victim.answered < victim.asked or not victim.asked:
            yield (f"the victim has {victim.answered} of {victim.asked} answers: "
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
                yield f"{actual:.1f} {what}; right is up to {limit}"
        if limits.jobs is not None or limits.compressions is not None:
            if not server.jobs(VICTIM):
                yield "the log tells of no job of the victim, so that it can't be asked about others"

    def summary(self):
        """Prints the table and the count; the process's exit code."""
        table = [TITLES, *[row.cells() for row in self.rows]]
        widths = [max(map(len, column)) for column in zip(*table)]
        print()
        for cells in table:
            print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip())
        judged = [row for row in self.rows if row.judged]
        failed = sum(bool(row.problems) for row in judged)
        print(f"\nattacks: {len(judged) - failed} passed, {failed} failed")
        return 1 if failed else 0
