"""Files that were deleted, and logs that can't be written."""

import http.client
import resource

from peers import TIMEOUT, VICTIM, fetch
from program import until

IDLE = 10 + 10  # seconds until the descriptor of a file without requests must be closed
REQUESTS = 300


def idle(trials):
    """A deleted file uses its disk space as long as a process has it open."""
    root = trials.directory / "deleted"
    root.mkdir()
    files = [root / f"{number}.bin" for number in range(40)]
    for file in files:
        file.write_bytes(bytes(1 << 20))
    with trials.checked("idle: 40 files of 1 MiB, then deleted") as row, \
            trials.http(folder=root) as server:
        # A connection that stays open, so that its end can't be what closes the files.
        kept = http.client.HTTPConnection(*server.address, timeout=TIMEOUT, source_address=(VICTIM, 0))
        for file in files:
            kept.request("GET", f"/{file.name}")
            assert len(kept.getresponse().read()) == 1 << 20, "not the whole file"
            file.unlink()

        def held():
            return sum(path.startswith(f"{root}/") for path in server.usage.open_files())

        row.descriptors = held()
        until(lambda: not held(), IDLE)
        left = held()
        kept.close()
        assert not left, f"{left} files are held open {IDLE} s later"


def file_size(trials):
    """A log that can't grow must not end the server."""
    for name, log, limits in [
        ("file-size: the log file is limited to 4 KiB", trials.directory / "access.log",
         [(resource.RLIMIT_FSIZE, 4096)]),
        ("file-size: the log file is limited to 0 bytes", trials.directory / "empty.log",
         [(resource.RLIMIT_FSIZE, 0)]),
        ("file-size: the log's disk is full", "/dev/full", []),
    ]:
        with trials.checked(name) as row, \
                trials.start("http", trials.folder.root, "--listen", "127.0.0.1:0", "--access-log", log,
                             "--log", "off", limits=limits) as server:
            answered = 0
            try:
                for _ in range(REQUESTS):
                    answered += fetch(server.address, "/small.txt")[::2] == (200, b"small\n")
                # The log is written periodically, so the last lines may not be written yet.
                until(lambda: not server.alive(), 2)
                answered += fetch(server.address, "/small.txt")[::2] == (200, b"small\n")
            finally:
                row.victim = f"{answered}/{REQUESTS + 1}"
                if not server.alive():
                    row.problems.append(f"the server has ended: {server.process.returncode}")
            assert answered == REQUESTS + 1, f"{answered} answers"
