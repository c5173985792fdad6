"""Files that change while they are sent: what completes, what is cut, and what can be resumed.

The changes are made between two parts of a download, whose client waits meanwhile. 12 MiB are more
than the default of `--hash-up-to`, and 3 MiB are less."""

import json
import os
import pathlib
import signal
import subprocess
import time

import clients
from clients import TIMEOUT, Meanwhile, Slow, curl, head, sha
from running import expect

LARGE = 12 << 20
SMALL = 3 << 20
RCLONE = ("rclone", "--config", "/dev/null", "--bwlimit", "12M", "--retries", "1",
          "--low-level-retries", "1")
# Prints `half` after a part of the body, and reads on when a line arrives.
NODE_SLOW = """
const {createHash} = require('crypto');
(async () => {
  const hash = createHash('sha256');
  let [length, is_told] = [0, false];
  const response = await fetch(process.argv[1]);
  for await (const part of response.body) {
    hash.update(part);
    length += part.length;
    if (length > 1 << 20 && !is_told) {
      is_told = true;
      console.log('half');
      await new Promise((resolve) => process.stdin.once('data', resolve));
      process.stdin.destroy();
    }
  }
  console.log(length + ' ' + hash.digest('hex'));
})().catch((error) => { console.log(String(error)); process.exit(1); });
"""


def append(path):
    with path.open("ab") as file:
        file.write(b"another line of the log\n" * 100)


def touch(path):
    os.utime(path)


def move(path):
    path.rename(path.with_suffix(".moved"))


def link(path):
    path.with_suffix(".linked").hardlink_to(path)


def replace(path):
    """As editors and deployments do: the path names another file."""
    other = path.with_suffix(".new")
    other.write_bytes(b"another file")
    other.rename(path)


def change_mode(path):
    path.chmod(0o600 if path.stat().st_mode & 0o077 else 0o644)


def rewrite(path):
    """Other bytes, as many as before, in the same file: its second half differs."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(bytes(path.stat().st_size - file.tell()))


def rewrite_secretly(path):
    """Other bytes, and the same modification time."""
    before = path.stat()
    rewrite(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def rewrite_equally(path):
    """The same bytes, written again, as rsync --inplace or a careless build does."""
    content = path.read_bytes()
    with path.open("r+b") as file:
        file.write(content)


def truncate(path):
    os.truncate(path, path.stat().st_size * 3 // 4)


def both(*acts):
    def act(path):
        for one in acts:
            one(path)
    act.__name__ = " and ".join(one.__name__ for one in acts)
    return act


# No touch of the large file: if the size stays, only the content could show that nothing changed.
COMPLETE = {
    LARGE: (append, change_mode, move, link, replace, pathlib.Path.unlink,
            both(append, touch), both(append, change_mode, link)),
    SMALL: (append, change_mode, move, link, replace, pathlib.Path.unlink, touch,
            both(append, touch), rewrite_equally),
}
CUT = {
    LARGE: (truncate, rewrite),
    SMALL: (truncate, rewrite, rewrite_secretly, both(rewrite_secretly, link),
            both(rewrite, append)),
}


def size_name(size):
    return f"{size >> 20} MiB"


class Files:
    """A folder of files that each check changes, and a server for it."""

    def __init__(self, setup, root):
        self.check = setup.checks.check
        self.start = setup.checks.start
        self.browser = setup.browser
        self.parent = setup.cases.parent
        self.root = root
        self.content = {size: os.urandom(size) for size in (LARGE, SMALL)}
        self.server = None
        self._next = 0

    def new_folder(self):
        self._next += 1
        return f"folder-{self._next}/"

    def clear(self):
        """Removes the files, which are many megabytes."""
        for path in self.root.rglob("*.*"):
            path.unlink()

    def new(self, size, folder=""):
        """A file that no request named before, its path in URLs, and what it contains."""
        self._next += 1
        name = f"{folder}{self._next}.log"
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.content[size])
        return path, "/" + name, self.content[size]


def run(setup):
    root = setup.cases.parent / "changing"
    root.mkdir()
    files = Files(setup, root)
    with setup.checks.start("http", root, "--listing", "--listen", "127.0.0.1:0") as server:
        files.server = server
        downloads(files)
        ranges(files)
        archives(files)
        growing(files)
        etags(files)
        resumes(files)
        many_changes(files)


def downloads(files):
    for size, acts in COMPLETE.items():
        for act in acts:
            with files.check(f"{size_name(size)} complete: {act.__name__} meanwhile"):
                path, target, content = files.new(size)
                with Slow(files.server, target) as slow:
                    expect(slow.promised, size)
                    act(path)
                    got = slow.rest()
                expect((len(got), sha(got)), (size, sha(content)))
                files.clear()
    for size, acts in CUT.items():
        for act in acts:
            with files.check(f"{size_name(size)} cut: {act.__name__} meanwhile"):
                path, target, content = files.new(size)
                with Slow(files.server, target) as slow:
                    act(path)
                    got = slow.rest()
                if len(got) >= size:
                    raise AssertionError("completed, with " + (
                        "the old bytes" if got == content else "bytes of two versions"))
                files.clear()


def ranges(files):
    for size in (LARGE, SMALL):
        for act in (append, change_mode, both(append, touch)):
            with files.check(
                    f"a range of {size_name(size)} complete: {act.__name__} meanwhile"):
                path, target, content = files.new(size)
                field = f"Range: bytes=1000-{size - 1001}"
                with Slow(files.server, target, field) as slow:
                    expect(slow.response.status, 206)
                    act(path)
                    got = slow.rest()
                expect((len(got), sha(got)), (size - 2000, sha(content[1000:-1000])))
                files.clear()


def archives(files):
    for size in (LARGE, SMALL):
        for act in (append, change_mode, link, both(append, touch)):
            with files.check(
                    f"an archive with {size_name(size)} complete: {act.__name__} meanwhile"):
                path, target, content = files.new(size, files.new_folder())
                with Slow(files.server, target.removesuffix(path.name) + "?format=tar") as slow:
                    act(path)
                    got = slow.rest()
                expect(len(got), slow.promised)
                expect(clients.archived(got),
                       {str(path.relative_to(files.root)): sha(content)})
        for act in (truncate, rewrite):
            with files.check(
                    f"an archive with {size_name(size)} cut: {act.__name__} meanwhile"):
                path, target, _ = files.new(size, files.new_folder())
                with Slow(files.server, target.removesuffix(path.name) + "?format=tar") as slow:
                    act(path)
                    got = slow.rest()
                if len(got) >= slow.promised:
                    raise AssertionError("completed")


def from_pipe(words, act):
    """Runs a client that writes to a pipe, and calls `act` whenever a part has come through it."""
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as client:
        parts = []
        while part := client.stdout.read(1 << 20):
            parts.append(part)
            act()
        errors = client.stderr.read().decode().strip()
    return client.returncode, b"".join(parts), errors


def growing(files):
    """A log that grows all the time is sent as long as it was when it was requested."""
    for name, words in {
        "curl": ("curl", "--silent", "--show-error", "--limit-rate", "12M"),
        "wget": ("wget", "--quiet", "--tries=1", "--limit-rate=12m", "--output-document=-"),
        "rclone": (*RCLONE, "cat", ":http:", "--http-url"),
    }.items():
        if not clients.has(name):
            continue
        with files.check(f"{name}: a growing log of 12 MiB"):
            path, target, content = files.new(LARGE, f"growing-{name}/")
            if name == "rclone":  # it reads a folder, and prints its only file
                target = target.removesuffix(path.name)
            code, got, errors = from_pipe((*words, files.server.url + target),
                                          lambda: append(path))
            expect((code, errors, len(got), sha(got)), (0, "", LARGE, sha(content)))
    with files.check("curl: fails if a file of 12 MiB is truncated meanwhile"):
        path, target, _ = files.new(LARGE)
        words = ("curl", "--silent", "--limit-rate", "12M", files.server.url + target)
        code, got, _ = from_pipe(words, lambda: os.truncate(path, LARGE // 2))
        expect((code, len(got) < LARGE), (18, True), "18 is a partial file:")
    with files.check("urllib: a growing log of 12 MiB"):
        path, target, content = files.new(LARGE)
        with clients.urllib.request.urlopen(files.server.url + target, timeout=TIMEOUT) as answer:
            parts = []
            while part := answer.read(1 << 20):
                parts.append(part)
                append(path)
        expect(sha(b"".join(parts)), sha(content))
    if clients.has("node"):
        with files.check("node: a log of 12 MiB that grew after its first part"):
            path, target, content = files.new(LARGE)
            with subprocess.Popen(["node", "-e", NODE_SLOW, files.server.url + target], text=True,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
                expect(client.stdout.readline(), "half\n")
                append(path)
                out, _ = client.communicate("go on\n", TIMEOUT)
            expect(out, f"{LARGE} {sha(content)}\n")
    if browser := files.browser:
        with files.check("Chromium: fetch of 12 MiB that grew after its first part"):
            path, target, content = files.new(LARGE)
            (files.root / "page.txt").write_bytes(b"a page that may fetch")
            clients.visit(browser, files.server.url + "/page.txt")
            browser.run(f"fetch('{target}').then((response) => {{ "
                        "window.reader = response.body.getReader(); return window.reader.read(); })"
                        ".then((part) => { window.length = part.value.length; return 0; })")
            append(path)
            length = browser.run("""(async () => {
                for (;;) {
                  const {done, value} = await window.reader.read();
                  if (done) return window.length;
                  window.length += value.length;
                }
            })().catch(String)""")
            expect(length, LARGE)


def etags(files):
    def ask(*targets):
        """A new server has read nothing yet."""
        with files.start("http", files.root, "--listen", "127.0.0.1:0") as server:
            return [head(server.url + target).etag for target in targets]

    path, target, _ = files.new(LARGE)
    [before] = ask(target)
    with files.check("the ETag of 12 MiB is strong"):
        expect((before or "")[:1], '"', before)
    for act, more in ((change_mode, ""), (link, ".linked"), (move, ".moved")):
        with files.check(f"the ETag of 12 MiB is the same after: {act.__name__}"):
            act(path)
            named = target.replace(".log", more) if more else target
            expect(ask(named), [before])
    path = path.with_suffix(".moved")
    for act in (append, touch, rewrite):
        with files.check(f"the ETag of 12 MiB is another after: {act.__name__}"):
            [before] = ask("/" + path.name)
            act(path)
            expect(ask("/" + path.name) != [before], True)


def resumes(files):
    """Each client has the first third, and the file's mode changes before it asks for the rest."""
    words = ("http", files.root, "--listing", "--listen", "127.0.0.1:0")
    for what in ("a file", "an archive"):
        with files.check(f"curl -C - with If-Range of {what}, after a chmod"):
            path, target, _ = files.new(LARGE, files.new_folder())
            if what == "an archive":
                target = target.removesuffix(path.name) + "?format=tar"
            with files.start(*words) as server:
                whole = curl(server.url + target)
            change_mode(path)
            out = files.parent / what
            out.write_bytes(whole.content[:LARGE // 3])
            # A new server has read nothing yet.
            with files.start(*words) as server:
                status = clients.run(
                    "curl", "--silent", "--show-error", "--write-out", "%{http_code}",
                    "--continue-at", "-", "--header", f"If-Range: {whole.etag}", "--output", out,
                    server.url + target)
            expect((status, sha(out.read_bytes())), (b"206", sha(whole.content)))
    if clients.has("wget"):
        with files.check("wget -c after a chmod"):
            path, target, content = files.new(LARGE)
            head(files.server.url + target)  # the server remembers it for a second
            change_mode(path)
            out = files.parent / "resumed-by-wget"
            out.mkdir()
            (out / path.name).write_bytes(content[:LARGE // 3])
            clients.run("wget", "--quiet", "--tries=1", "-c", f"--directory-prefix={out}",
                        files.server.url + target)
            expect(clients.files_of(out), {path.name: sha(content)})
    if clients.has("aria2c"):
        with files.check("aria2: interrupted, chmod, resumed"):
            aria2_resumes(files)


def aria2(out, *words):
    return ["aria2c", "--no-conf", "--quiet", "--dir", str(out), "--file-allocation=none",
            "--max-tries=1", "--auto-save-interval=1", *words]


def aria2_resumes(files):
    path, target, content = files.new(LARGE)
    out = files.parent / "resumed-by-aria2"
    part, control = out / path.name, out / f"{path.name}.aria2"
    log = files.parent / "aria2.log"
    words = ("http", files.root, "--listen", "127.0.0.1:0", "--access-log", log,
             "--access-log-format", "json")
    with files.start(*words) as server:
        url = server.url + target
        limited = aria2(out, "--max-download-limit=4M", "-x2", "-s2", "-k1M", url)
        with subprocess.Popen(limited) as client:
            until = time.monotonic() + TIMEOUT
            while not (part.exists() and part.stat().st_blocks * 512 >= 3 << 20):
                if client.poll() is not None or time.monotonic() > until:
                    raise AssertionError("aria2 has not begun")
                time.sleep(0.01)
            client.send_signal(signal.SIGINT)
            client.wait(TIMEOUT)
        expect(control.exists(), True, "what it has is noted:")
        change_mode(path)
        clients.run(*aria2(out, "--continue=true", "-x4", "-s4", "-k1M", url))
        expect((sha(part.read_bytes()), control.exists()), (sha(content), False))
        clients.stop(server)
    statuses = {json.loads(line)["status"] for line in log.read_text().splitlines()}
    expect(206 in statuses, True, f"no range in {statuses}")


def many_changes(files):
    """The file's mode changes again and again, also for clients with several connections.

    They would start again where they were cut, so each has only one try."""
    for size in (LARGE, SMALL):
        with files.check(f"{size_name(size)} complete: a chmod after each part"):
            path, target, content = files.new(size)
            with Slow(files.server, target) as slow:
                got = slow.rest(lambda: change_mode(path))
            expect((len(got), sha(got)), (size, sha(content)))
    for name, words in {
        "aria2c": lambda url, out: aria2(
            out, "--max-overall-download-limit=12M", "-x4", "-s4", "-k1M", url),
        "lftp": lambda url, out: [
            "lftp", "-c", "set net:max-retries 1; set net:limit-total-rate 12582912; "
            f"pget -n 4 -O {out} {url}"],
        "rclone": lambda url, out: [*RCLONE, "copyurl", "--auto-filename", url, out],
    }.items():
        if not clients.has(name):
            continue
        with files.check(f"{name}: 12 MiB with a chmod every 10 ms"):
            path, target, content = files.new(LARGE)
            out = files.parent / f"by-{name}"
            out.mkdir()
            with Meanwhile(lambda: change_mode(path)):
                clients.run(*words(files.server.url + target, out))
            expect(clients.files_of(out), {path.name: sha(content)})
