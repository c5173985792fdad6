"""Listings as programs read them, names with a backslash, and what a listing leaves out."""

import html
import io
import json
import os
import re
import tarfile
import urllib.parse

import clients
from clients import archived, curl, files_of, raw, sha, visit
from folder import BACKSLASH_NAMES, LEFT_OUT, MANY, ODD_NAMES, VAST, content_of, write
from running import expect

MOST = 10_000
NOBODY = 65534
ROW = re.compile(rb"<tr class=")
LINK = re.compile(r'<a\b[^>]*\bhref="([^"]*format=json[^"]*)"')


def rclone(command, url, *words):
    return clients.run("rclone", "--config", "/dev/null", "--retries", "1",
                       "--low-level-retries", "1", "--transfers", "8", "--checkers", "8",
                       "--http-url", url, command, ":http:", *words)


def lftp(url, command):
    return clients.run("lftp", "-c", f"set net:max-retries 1; set cmd:fail-exit true; "
                       f"open {url}; {command}")


def run(setup):
    checks, cases, server, browser = setup.checks, setup.cases, setup.server, setup.browser
    many(checks, cases, server)
    vast(checks, server, browser)
    odd(checks, cases, server)
    backslashes(checks, cases, server, browser)
    left_out(checks, cases)


def many(checks, cases, server):
    url = server.url + "/many/"
    names = sorted(f"file {number}.txt" for number in range(MANY))
    with checks.check("a page has 2,500 of 2,500 names"):
        page = curl(url)
        expect(len(ROW.findall(page.content)), MANY)
    if clients.has("rclone"):
        with checks.check("rclone lsf: 2,500 of 2,500 names"):
            expect(sorted(rclone("lsf", url).decode().splitlines()), names)
        with checks.check("rclone copy, and rclone check: 2,500 files"):
            out = cases.parent / "many-by-rclone"
            rclone("copy", url, out)
            # Over HTTP there are no hashes to compare, so it downloads.
            rclone("check", url, out, "--download")
            expect(files_of(out), files_of(cases.root / "many"))
    if clients.has("lftp"):
        with checks.check("lftp cls: 2,500 of 2,500 names"):
            expect(sorted(lftp(url, "cls -1").decode().splitlines()), names)
        with checks.check("lftp mirror: 2,500 files"):
            out = cases.parent / "many-by-lftp"
            lftp(url, f"mirror --parallel=4 . {out}")
            expect(files_of(out), files_of(cases.root / "many"))
    if clients.has("wget"):
        with checks.check("wget -r: 2,500 files"):
            got = clients.wget_tree(url, cases.parent / "many-by-wget")
            expect(got, files_of(cases.root / "many"))


def vast(checks, server, browser):
    url = server.url + "/vast/"
    with checks.check("12,000 names: a page has 10,000, says what is missing, and links to JSON"):
        page = curl(url)
        expect(len(ROW.findall(page.content)), MOST)
        assert re.search(rb"\b2,?000\b", page.content), "it doesn't say that 2,000 are missing"
        links = LINK.findall(page.content.decode())
        assert links, "no link to JSON"
        link = urllib.parse.urljoin(url, html.unescape(links[0]))
        everything = json.loads(curl(link).content)
        expect((len(everything["entries"]), everything["complete"]), (VAST, True))
        expect(sorted(entry["name"] for entry in everything["entries"]),
               [f"{number:05}.txt" for number in range(VAST)])
    with checks.check("12,000 names: it has a compressed page of the same content"):
        response = curl("--compressed", "--header", "Accept-Encoding: gzip", url)
        expect(response.content_encoding, "gzip")
        expect(len(ROW.findall(response.content)), MOST)
    if browser:
        with checks.check("Chromium: shows 10,000 names and says that 2,000 are missing"):
            visit(browser, url)
            expect(browser.run("document.querySelectorAll('tbody tr[class]').length"), MOST)
            text = browser.run("document.body.innerText.replace(/[0-9]{5}[.]txt/g, '')")
            assert re.search(r"\b2,?000\b", text), f"it says {text!r:.200}"
            expect(browser.run("document.querySelectorAll('a[href*=\"format=json\"]').length > 0"),
                   True, "a link to JSON:")


def linked(url):
    """Where the entries of a page lead."""
    return re.findall(r'<tr class=.*?<a href="([^"]*)"', curl(url).content.decode(), re.DOTALL)


def odd(checks, cases, server):
    url = server.url + "/odd/"
    wanted = files_of(cases.root / "odd")
    with checks.check("every odd name is in the page, and its link leads to it"):
        got = {urllib.parse.unquote(link): sha(curl(urllib.parse.urljoin(url, link)).content)
               for link in linked(url) if not link.endswith("/")}
        expect(got, {name: digest for name, digest in wanted.items() if "/" not in name})
    # lftp takes a name with a `:` for one with a scheme, so it has a folder of its own.
    if clients.has("rclone"):
        with checks.check("rclone copy and check: odd names"):
            out = cases.parent / "odd-by-rclone"
            rclone("copy", url, out)
            rclone("check", url, out, "--download")
            expect(files_of(out), wanted)
        with checks.check("rclone copy: a name with a colon, which it asks for as ./a:b"):
            write(cases.root / "colon" / "a:b.txt", content_of("a:b.txt"))
            rclone("copy", server.url + "/colon/", cases.parent / "colon-by-rclone")
            expect(files_of(cases.parent / "colon-by-rclone"), {"a:b.txt": sha(content_of("a:b.txt"))})
    if clients.has("lftp"):
        with checks.check("lftp mirror: odd names"):
            out = cases.parent / "odd-by-lftp"
            lftp(url, f"mirror . {out}")
            expect(files_of(out), wanted)
    if clients.has("wget"):
        with checks.check("wget -r: odd names"):
            expect(clients.wget_tree(url, cases.parent / "odd-by-wget"), wanted)
    with checks.check("an archive has the odd names"):
        expect(archived(curl(url + "?format=tar").content),
               {f"odd/{name}": digest for name, digest in wanted.items()})


def backslashes(checks, cases, server, browser):
    url = server.url + "/backslash/"
    for name in BACKSLASH_NAMES:
        target = "/backslash/" + urllib.parse.quote(name)
        with checks.check(f"{target} is the file"):
            response = raw(server, target.encode())
            expect((response.status, response.content), (200, content_of(name)))
    with checks.check("%5C is no way out, and no separator"):
        for target in (b"/..%5Coutside.txt", b"/backslash/..%5C..%5Coutside.txt",
                       b"/sub%5Cpage.html", b"/%5C..%5C..%5Coutside.txt", b"/.hidden%5Csecret.txt"):
            expect(raw(server, target).status, 404, target)
    top = {name.partition("/")[0] for name in BACKSLASH_NAMES}
    with checks.check("names with \\ in the page"):
        links = linked(url)
        expect({urllib.parse.unquote(link).removesuffix("/") for link in links} - {"..", "."}, top)
        expect([link for link in links if "\\" in link], [], "raw:")
    with checks.check("names with \\ in JSON"):
        listing = json.loads(curl(url + "?format=json").content)
        expect({entry["name"] for entry in listing["entries"]}, top)
        expect(listing["complete"], True)
        for entry in listing["entries"]:
            if entry["kind"] == "file":
                response = curl(urllib.parse.urljoin(url, entry["url"]))
                expect(response.content, content_of(entry["name"]))
    wanted = files_of(cases.root / "backslash")
    with checks.check("names with \\ in the archive"):
        expect(archived(curl(url + "?format=tar").content),
               {f"backslash/{name}": digest for name, digest in wanted.items()})
    if clients.has("rclone"):
        with checks.check("rclone copy: names with \\"):
            out = cases.parent / "backslash-by-rclone"
            rclone("copy", url, out)
            expect(files_of(out), wanted)
    if clients.has("lftp"):
        with checks.check("lftp mirror: names with \\"):
            out = cases.parent / "backslash-by-lftp"
            lftp(url, f"mirror . {out}")
            expect(files_of(out), wanted)
    if browser:
        with checks.check("Chromium: a click on a name with \\ leads to the file"):
            visit(browser, url)
            browser.follow("[...document.querySelectorAll('tbody a')].find((link) => "
                           "link.textContent.includes('back\\\\slash')).click()")
            expect(browser.run("location.pathname"), "/backslash/back%5Cslash.txt")
            expect(browser.run("document.body.textContent").encode(), content_of("back\\slash.txt"))


def left_out(checks, cases):
    """As a user who may not read one of the files, which root always may."""
    more = {}
    if os.geteuid() == 0:
        more = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    words = ("http", cases.root, "--listing", "--listen", "127.0.0.1:0")
    with checks.check("the server starts as another user"), checks.start(*words, **more) as server:
        url = server.url + "/partial/"

        def counts(number):
            return re.compile(rf"(?<![\d.]){number}(?!\d)").search

        # To list a file it need not be read, so the unreadable one may be an entry.
        with checks.check("what can't be sent is no entry, and the page counts how many"):
            page = curl(url).content.decode()
            rows = len(ROW.findall(page.encode()))
            expect(rows in (3, 4), True, f"{rows} entries:")
            count = counts(LEFT_OUT - (rows - 3))
            body = re.sub(r"<(script|style|svg|table)\b.*?</\1>|<[^>]*>", " ",
                          page.partition("<body")[2], flags=re.DOTALL)
            assert count(body), f"it says {' '.join(body.split())!r:.300}"
        with checks.check("JSON counts what is left out"):
            listing = json.loads(curl(url + "?format=json").content)
            names = [entry["name"] for entry in listing.pop("entries")]
            expect(names[:3], ["a.txt", "b.txt", "c.txt"])
            expect(names[3:] in ([], ["unreadable.txt"]), True, names)
            expect((listing["complete"], sum(listing["omitted"].values())),
                   (False, LEFT_OUT - len(names[3:])))
        with checks.check(f"the archive counts {LEFT_OUT} that are left out"):
            response = curl(url + "?format=tar")
            with tarfile.open(fileobj=io.BytesIO(response.content)) as archive:
                members = archive.getmembers()
                files = {member.name: archive.extractfile(member).read()
                         for member in members if member.isfile()}
            for name in "abc":
                expect(files.pop(f"partial/{name}.txt"), b"a file that is sent")
            note = files.pop("partial/OMITTED.txt").decode()
            expect((sum(map(int, re.findall(r"\d+", note))), files), (LEFT_OUT, {}), note)
