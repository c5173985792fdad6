"""Tests archives of a folder with curl and Python's tarfile, also after interrupted downloads."""

import io
import random
import subprocess
import tarfile

from running import TIMEOUT, expect
from with_curl import curl, head_of_get, status

CUTS = 12


def run(checks, folder):
    target = folder.parent / "archive.tar"
    words = ("http", folder.root, "--listing", "--listen", "127.0.0.1:0")
    with checks.start(*words) as server:
        url = server.url + "/?format=tar"
        with checks.check("tar: the archive has exactly the files that can be requested"):
            whole = curl(url)
            with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
                names = sorted(member.name for member in archive)
                expect("files/big.bin" in names and "files/.well-known/note.txt" in names, True)
                expect([name for name in names if "hidden" in name or "way" in name], [])
                expect(archive.extractfile("files/OMITTED.txt").read(),
                       b"Not in this archive: 2 links that lead out of the folder.\n")
                for name in ("big.bin", "sub/index.html", "with space.txt"):
                    expect(archive.extractfile("files/" + name).read(),
                           (folder.root / name).read_bytes(), name)
            expect(int(head_of_get(url)[1]["content-length"]), len(whole))
        seed = random.randrange(1 << 32)
        places = random.Random(seed)
        with checks.check(f"tar: cut {CUTS} times and resumed by curl, seed {seed}"):
            target.unlink(missing_ok=True)
            for _ in range(CUTS):
                cut_download(url, target, places.randrange(1, len(whole) // CUTS))
            curl("--continue-at", "-", "--output", str(target), url)
            expect(target.read_bytes() == whole, True)
        with checks.check("tar: after a change, If-Range gets the whole new archive"):
            etag = head_of_get(url)[1]["etag"]
            request = ("--range", "1000-", "--header", f"If-Range: {etag}", url)
            expect(status(*request), 206)
            (folder.root / "hello.txt").write_bytes(b"HELLO world\n")
            try:
                # The server caches a folder for one second.
                expect(wait_for(200, request), 200)
            finally:
                (folder.root / "hello.txt").write_bytes(b"Hello World\n")


def cut_download(url, target, more):
    """Receives some more bytes, and closes the connection."""
    had = target.stat().st_size if target.exists() else 0
    with subprocess.Popen(
        ["curl", "--silent", "--max-time", str(TIMEOUT), "--range", f"{had}-", url],
        stdout=subprocess.PIPE,
    ) as download:
        piece = download.stdout.read(more)
        download.kill()
    with open(target, "ab") as file:
        file.write(piece)


def wait_for(wanted, request):
    """Repeats a request until it gets the expected response, or a limit is reached."""
    for _ in range(400):
        try:
            found = status(*request)
        except subprocess.CalledProcessError as error:
            found = f"cut: {error.returncode}"  # the archive changed while it was sent
        if found == wanted:
            break
    return found
