"""`sockeye explain` gives the true reason."""

import os

from folder import write
from listings import NOBODY
from running import expect


def run(setup):
    checks, cases = setup.checks, setup.cases
    for name, words in {
        "absolute-outside.txt": ("link", "out"),
        "relative-outside.txt": ("link", "out"),
        "absolute-hidden.txt": ("link", "hidden"),
        "relative-hidden.txt": ("link", "hidden"),
        "nowhere.txt": ("link",),
        "loop.txt": ("link",),
    }.items():
        with checks.check(f"explain: the link {name}: {' and '.join(words)}"):
            done = checks.run("explain", f"/links/{name}", cases.root)
            expect((done.returncode, "404" in done.stdout), (1, True), done.stdout)
            reason = reason_in(done.stdout)
            expect([word for word in words if word not in reason], [], f"{reason!r} lacks")
            expect("out of" in reason, "out" in words, f"{reason!r} says that it leads out:")
    for name in ("absolute.txt", "absolute-folder/er/target.txt", "relative-chain.txt"):
        with checks.check(f"explain: the link {name} is followed"):
            done = checks.run("explain", f"/links/{name}", cases.root)
            expect((done.returncode, "200" in done.stdout), (0, True), done.stdout)
    with checks.check("explain: --spa without an index.html"):
        root = cases.parent / "spa"
        write(root / "app.js", b"")
        done = checks.run("explain", "/a/route", root, "--spa")
        expect(done.returncode, 1)
        reason = reason_in(done.stdout)
        expect("index.html" in reason, True, f"{reason!r} names index.html:")
        write(root / "index.html", b"the app")
        expect(checks.run("explain", "/a/route", root, "--spa").returncode, 0)
    with checks.check("explain: an unreadable file"):
        more = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        done = checks.run("explain", "/partial/unreadable.txt", cases.root, **more)
        expect(done.returncode, 1)
        reason = reason_in(done.stdout)
        expect("permission" in reason, True, f"{reason!r} says permission:")
    with checks.check("explain: a pipe"):
        reason = reason_in(checks.run("explain", "/partial/pipe-a", cases.root).stdout)
        expect("pipe" in reason, True, f"{reason!r} says pipe:")
    with checks.check("explain: odd bytes and slashes in a row"):
        done = checks.run("explain", "/odd/a|b^c.txt?q=|{}", cases.root)
        expect((done.returncode, "200" in done.stdout), (0, True), done.stdout)
        done = checks.run("explain", "//hello.txt", cases.root)
        expect(("/hello.txt" in done.stdout, "404" in done.stdout), (True, False), done.stdout)


def reason_in(printed):
    """What `explain` says after `reason:`, or all of it."""
    return printed.partition("reason:")[2].partition("\n")[0].strip() or printed.strip()
