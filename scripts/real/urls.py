"""Which bytes a URL may contain, as clients send them, and several slashes in a row."""

import json
import re
import urllib.parse

import clients
from clients import curl, head, node_fetch, raw, sha, urllib_get, visit
from folder import ODD_NAMES, content_of
from running import expect

QUERY_BYTES = [bytes([byte]) for byte in range(0x21, 0x7F) if byte != ord("#")]
RAW_IN_PATHS = b'|^{}`"<>'
# What browsers leave as it is in a query, by the URL standard.
BROWSER_QUERY = "filter=a|b&set={1}&power=2^3&tick=`&path=C:\\x"


def target_of(name, safe="/"):
    return "/odd/" + urllib.parse.quote(name, safe=safe)


def run(setup):
    checks, server, browser = setup.checks, setup.server, setup.browser
    queries(checks, server, browser)
    logs(checks, setup.cases)
    names(checks, server, browser)
    redirects(checks, server, browser)
    slashes(checks, setup.cases, server, browser)
    refused(checks, server)


def queries(checks, server, browser):
    plain = content_of("plain.txt")
    with checks.check("a query may have each byte from 0x21 to 0x7E, except #"):
        wrong = [byte for byte in QUERY_BYTES
                 if raw(server, b"/odd/plain.txt?x=" + byte).content != plain]
        expect(b"".join(wrong), b"", "refused:")
    url = f"{server.url}/odd/plain.txt?{BROWSER_QUERY}"
    with checks.check("curl -g: a query with |{}^`\\"):
        response = curl(url)
        expect((response.status, response.content), (200, plain))
    with checks.check("urllib: a query with |{}^`\\"):
        response = urllib_get(url)
        expect((response.status, response.content), (200, plain))
    if clients.has("node"):
        with checks.check("node: fetch of a query with |{}^`\\"):
            expect(node_fetch(url)[0][:2], [200, sha(plain)])
    if browser:
        with checks.check("Chromium: a navigation to a query with |{}^`\\"):
            expect(visit(browser, url).status, 200)
            expect(browser.run("document.body.textContent").encode(), plain)
            expect(browser.run("location.search"), "?" + BROWSER_QUERY)
        with checks.check("Chromium: fetch of a query with |{}^`\\"):
            visit(browser, server.url + "/hello.txt")
            script = f"fetch({json.dumps(url)}).then(async (r) => [r.status, await r.text()])"
            expect(browser.run(script), [200, plain.decode()])


def logs(checks, cases):
    target = "/hello.txt?q=|{}^`\\\"<>"
    for name in ("json", "combined"):
        with checks.check(f"the access log has the target as it was sent: {name}"):
            path = cases.parent / f"{name}.log"
            words = ("http", cases.root, "--listen", "127.0.0.1:0", "--access-log", path,
                     "--access-log-format", name)
            with checks.start(*words) as server:
                curl(server.url + target)
                clients.stop(server)
            lines = path.read_text().splitlines()
            expect(len(lines), 1)
            if name == "json":
                line = json.loads(lines[0])
                expect((line["target"], line["status"]), (target, 200))
                continue
            found = re.fullmatch(r'\S+ - - \[[^]]+\] "((?:[^"\\]|\\.)*)" (\d+) .*', lines[0])
            assert found, f"not a line of this format: {lines[0]}"
            line = re.sub(r"\\(?:x(..)|(.))",
                          lambda one: chr(int(one[1], 16)) if one[1] else one[2], found[1])
            expect((line, found[2]), (f"GET {target} HTTP/1.1", "200"))


def names(checks, server, browser):
    for name in ODD_NAMES:
        with checks.check(f"the same bytes for {name}, percent-encoded and as it is"):
            wanted = (200, content_of(name))
            response = raw(server, target_of(name).encode())
            expect((response.status, response.content), wanted, "encoded:")
            as_it_is = target_of(name, "/" + RAW_IN_PATHS.decode()).encode()
            response = raw(server, as_it_is)
            expect((response.status, response.content), wanted, f"{as_it_is}:")
            response = raw(server, as_it_is, b"Range: bytes=0-2")
            expect((response.status, response.content), (206, wanted[1][:3]), f"{as_it_is}:")
    for name in ("a|b^c.txt", "{id}.txt", "tick`.txt", '"quoted".txt', "<tag>.txt"):
        with checks.check(f"curl, urllib: the path {name} as it is"):
            for get in (curl, urllib_get):
                response = get(f"{server.url}/odd/{name}")
                expect((response.status, response.content), (200, content_of(name)), get.__name__)
    if clients.has("node"):
        with checks.check("node: fetch of paths with odd bytes, as its URL parser leaves them"):
            odd = [name for name in ODD_NAMES if not set(name) & set("%?#")]
            results = node_fetch(*(f"{server.url}/odd/{name}" for name in odd))
            expect([result[:2] for result in results],
                   [[200, sha(content_of(name))] for name in odd])
    if browser:
        for name in ("a|b^c.txt", "{a|b}/<c>^`d`.txt"):
            with checks.check(f"Chromium: a navigation to the path {name}"):
                expect(visit(browser, f"{server.url}/odd/{name}").status, 200)
                expect(browser.run("document.body.textContent").encode(), content_of(name))


def redirects(checks, server, browser):
    with checks.check("a redirect of a folder with odd bytes leads to it, with its query"):
        response = raw(server, b"/odd/{a|b}?q=|^`\\\"")
        expect(response.status in (301, 302, 307, 308), True, response.status)
        path, _, query = response.location.partition("?")
        expect(urllib.parse.unquote(urllib.parse.urlsplit(path).path).rpartition("/odd")[2],
               "/{a|b}/")
        expect(urllib.parse.unquote(query), 'q=|^`\\"')
        expect(set(path) & set('"<>\\^`{|} '), set(), "not encoded in Location:")
        expect(curl("--location", server.url + "/odd/{a|b}/?q=|").status, 200)
    with checks.check("the page of a 404 has no markup of the path"):
        response = raw(server, b"/no<b>|^{x}\"'.html", b"Accept: text/html")
        expect(response.status, 404)
        expect(b"<b>" in response.content, False)
    if browser:
        with checks.check("Chromium: follows a redirect of a folder with odd bytes"):
            expect(visit(browser, server.url + "/odd/{a|b}?q=|^").status, 200)
            ended = browser.run("decodeURIComponent(location.pathname + location.search)")
            expect(ended, "/odd/{a|b}/?q=|^")


def slashes(checks, cases, server, browser):
    for target, wanted in (("//hello.txt", "/hello.txt"), ("/sub//page.html", "/sub/page.html"),
                           ("///sub////page.html?a=//b", "/sub/page.html?a=//b"),
                           ("/sub//", "/sub/"), ("//sub//page", "/sub/page"),
                           ("//odd//a|b^c.txt", "/odd/a%7Cb%5Ec.txt")):
        with checks.check(f"{target} redirects to one with single slashes"):
            response = raw(server, target.encode())
            expect(response.status in (301, 302, 307, 308), True, f"status {response.status}")
            expect(response.location.startswith("//"), False, "another host:")
            parts = urllib.parse.urlsplit(response.location)
            path = urllib.parse.quote(urllib.parse.unquote(parts.path), safe="/")
            expect(path + ("?" + parts.query if parts.query else ""), wanted)
            expect(curl("--location", server.url + target).status, 200)
    for target in ("//nothing.txt", "//example.org/hello.txt", "//127.0.0.1:1/", "/sub//nothing",
                   "//.hidden//secret.txt", "//links//absolute-outside.txt", "//../outside.txt"):
        with checks.check(f"{target} redirects to nothing that isn't there"):
            response = raw(server, target.encode())
            expect((response.status in (400, 403, 404), response.location), (True, None),
                   f"status {response.status}, Location:")
    with checks.check("// redirects to a file of another folder, by its prefix"), \
            checks.start("http", cases.root, f"/docs={cases.root}/odd", "--listen",
                         "127.0.0.1:0") as server_of_two:
        for target in ("//docs//plain.txt", "/docs//plain.txt", "//docs/plain.txt"):
            response = raw(server_of_two, target.encode())
            expect(response.status in (301, 302, 307, 308), True, f"{target}: {response.status}")
            expect(urllib.parse.urlsplit(response.location).path, "/docs/plain.txt")
    if clients.has("node"):
        with checks.check("node: fetch follows // to the file"):
            expect(node_fetch(server.url + "//hello.txt"),
                   [[200, sha(b"Hello World\n"), server.url + "/hello.txt"]])
    if browser:
        with checks.check("Chromium: follows // to the page"):
            expect(visit(browser, server.url + "//sub//page.html").status, 200)
            expect(browser.run("document.body.textContent"), "a page")
            expect(browser.run("location.pathname"), "/sub/page.html")


def refused(checks, server):
    controls = [byte for byte in range(0x20) if byte not in b"\r\n"] + [0x7F]
    for what, values in (("controls", controls), ("bytes from 0x80 up", range(0x80, 0x100)),
                         ("#", b"#")):
        for where in (b"/odd/plain.txt?x=%s", b"/odd/%s.txt"):
            with checks.check(f"400 for {what} in {where.decode().replace('%s', '_')}"):
                statuses = {raw(server, where % bytes([byte])).status for byte in values}
                expect(statuses, {400})
    with checks.check("400 for a \\ in a path"):
        for target in (b"/odd\\plain.txt", b"\\odd/plain.txt", b"/..\\outside.txt"):
            expect(raw(server, target).status, 400, target)
    with checks.check("HEAD gives what GET gives for a path with odd bytes"):
        expect(head(f"{server.url}/odd/a|b^c.txt").content_length,
               str(len(content_of("a|b^c.txt"))))
