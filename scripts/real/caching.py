"""What clients may keep, and how soon they see what was written."""

import http.client
import pathlib
import re

import clients
from clients import curl, head, urllib_get, visit
from folder import write
from running import expect

YEAR = 365 * 24 * 60 * 60
FINGERPRINTED = ("about.md.BWbDsDwy.js", "assets/index-BWbDsDwy.js", "app.3f9a2b1c.js",
                 "chunk.5f3c1b2a9d8e7f60.css")
NOT_FINGERPRINTED = ("DSC-1234abcd.jpg", "index-BWbDsDwy.js", "jquery-3.7.1.min.js", "backup-20240115.js",
                     "chapter.template.js", "app.js")
ROUNDS = 200


def run(setup):
    checks, cases, server, browser = setup.checks, setup.cases, setup.server, setup.browser
    fingerprints(checks, cases, server)
    fresh(checks, cases)
    sizes_that_lie(checks, browser)


def fingerprints(checks, cases, server):
    for name in FINGERPRINTED + NOT_FINGERPRINTED:
        write(cases.root / "built" / name, b"built")
    for name in FINGERPRINTED:
        with checks.check(f"{name} is cached for a year"):
            control = head(f"{server.url}/built/{name}").cache_control
            expect(("immutable" in control, f"max-age={YEAR}" in control), (True, True), control)
    for name in NOT_FINGERPRINTED:
        with checks.check(f"{name} is not immutable"):
            control = head(f"{server.url}/built/{name}").cache_control
            ages = [int(age) for age in re.findall(r"max-age=(\d+)", control)]
            expect("immutable" in control or max(ages, default=0) > 600, False, control)


def fresh(checks, cases):
    root = cases.parent / "fresh"
    words = ("http", root, "--listen", "127.0.0.1:0", "--fresh")
    write(root / "page.html", b"the first")
    with checks.check("--fresh can be given"), checks.start(*words) as server:
        connection = http.client.HTTPConnection(*clients.address(server), timeout=clients.TIMEOUT)

        def get(target):
            connection.request("GET", target)
            return connection.getresponse().read()

        def replace(path, content):
            other = root / ".new"
            other.write_bytes(content)
            other.rename(path)

        with checks.check(f"--fresh: {ROUNDS} files written in place, and read at once"):
            for number in range(ROUNDS):
                # Of one size: neither it nor a clock that ticks seldom shows the change.
                content = b"version %06d" % number
                pathlib.Path(root / "page.html").write_bytes(content)
                expect(get("/page"), content, f"round {number}:")
        with checks.check(f"--fresh: {ROUNDS} files replaced, and read at once"):
            for number in range(ROUNDS):
                content = b"<p>" * (number % 7) + b"%d" % number
                replace(root / "page.html", content)
                expect(get("/page.html"), content, f"round {number}:")
        with checks.check("--fresh: a file that was missing, and one that was removed"):
            for number in range(20):
                target = f"/new-{number}.txt"
                expect(get(target) != b"new", True)
                (root / target[1:]).write_bytes(b"new")
                expect(get(target), b"new")
                (root / target[1:]).unlink()
                expect(get(target) != b"new", True)
        connection.close()


def sizes_that_lie(checks, browser):
    """The kernel says 0 or 4096 bytes for these, and makes the content when they are read."""
    for root, name in (("/proc/sys/kernel", "ostype"), ("/proc/self/net", "protocols"),
                       ("/sys/class/net/lo", "mtu"), ("/sys/kernel", "uevent_seqnum")):
        path = pathlib.Path(root, name)
        if not path.is_file():
            print(f"SKIPPED  {path}: is not here")
            continue
        wanted = path.read_bytes()
        with checks.check(f"{path}: its whole content, and no ETag"), \
                checks.start("http", root, "--listen", "127.0.0.1:0") as server:
            for get in (curl, urllib_get):
                response = get(f"{server.url}/{name}")
                # The columns of `protocols` change with each socket.
                cut = len(wanted) if name != "protocols" else len(wanted.partition(b"\n")[0])
                expect((response.status, response.content[:cut]), (200, wanted[:cut]), get.__name__)
                assert len(response.content) >= len(wanted) // 2, "the end is missing"
                expect((response.etag, response.last_modified), (None, None), get.__name__)
    with checks.check("/proc/sys/kernel/random/uuid: another one each time"), \
            checks.start("http", "/proc/sys/kernel/random", "--listen", "127.0.0.1:0",
                         "--content-type", "*: text/plain") as server:
        seen = {curl(server.url + "/uuid").content for _ in range(5)}
        expect((len(seen), {len(one) for one in seen}), (5, {37}))
        if clients.has("wget"):
            out = clients.run("wget", "--quiet", "--output-document=-", server.url + "/uuid")
            expect(out not in seen and len(out) == 37, True, f"wget: {out}")
        if browser:
            visit(browser, server.url + "/uuid")
            again = "fetch('/uuid').then((response) => response.text())"
            expect(len({browser.run(again) for _ in range(3)}), 3, "Chromium, different:")
