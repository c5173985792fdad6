"""A file system that hangs, as a network file system may, beside one that works."""

import fuse
from peers import Victim, head, reset, send_and_hold
from program import Peak

CONNECTIONS = 24
DRAIN = "2s"
ENDED = 2 + 8  # seconds until the process must have ended

SMALL, LARGE = 100_000, 32 << 20


def run(trials):
    if why := fuse.missing():
        return print(f"SKIPPED: storage, because {why}")
    for what, size in [("read", SMALL), ("read", LARGE), ("stat", SMALL)]:
        name = f"storage: {what} hangs, {size} bytes"
        root = trials.directory / f"storage-{what}-{size}"
        mounted = root / "slow"
        mounted.mkdir(parents=True)
        (root / "small.txt").write_bytes(b"small\n")
        cold = [(f"/{number}.txt", b"cold\n", {}) for number in range(1000)]
        for target, content, _ in cold:
            (root / target[1:]).write_bytes(content)
        files = {f"{what}-{number}.bin": size for number in range(CONNECTIONS)}
        with trials.checked(name) as row, fuse.Mount(mounted, files) as mount, \
                trials.http("--drain-timeout", DRAIN, folder=root) as server:
            attack(row, server, mount, files, cold)
    return None


def attack(row, server, mount, files, cold):
    # Every second request is for a cached file.
    requests = [request for one in cold for request in (one, ("/small.txt", b"small\n", {}))]
    peak, victim = Peak(server.usage), Victim(server.address, requests)
    victim.start()
    victim.wait_for(5, 10)
    held = send_and_hold(server.address, [head(f"/slow/{name}") for name in files])
    victim.wait_for(victim.requests_made + 100, 10)
    victim.stop()
    peak.stop()
    assert mount.hanging, "nothing hangs"
    row.victim, row.slowest = f"{victim.answered}/{victim.requests_made}", victim.slowest
    row.descriptors, row.peak = peak.descriptors, server.usage.peak()
    if victim.answered < victim.requests_made:
        row.problems.append(f"the victim has {row.victim} answers: {'; '.join(victim.wrong[:2])}")
    code = server.terminate(ENDED)
    if code is None:
        row.problems.append(f"it still runs {ENDED} s after SIGTERM with --drain-timeout {DRAIN}")
    for connection in held:
        reset(connection)
