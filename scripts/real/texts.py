"""What a file is said to be: its charset, its media type and its encoding."""

import gzip

import clients
from clients import curl, head, node_fetch, sha, visit
from folder import MODULE, MODULE_BR, PICTURE, SCRIPT, TEXTS
from running import expect

MALFORMED = ("*.htm: html", "*.htm: text html", "*.htm: text/html; charset", "*.htm: text/",
             "*.htm: text/html; charset=utf 8", "*.htm: t\u00ebxt/html",
             "*.htm: text/html, text/plain")
GZIP = "Accept-Encoding: gzip"
# Shows a picture, and says how wide it is.
SHOWN = """new Promise((done) => {
  const image = new Image();
  image.onload = () => done(image.naturalWidth);
  image.onerror = () => done('an error');
  image.src = '/compressed/picture.svgz';
})"""


def run(setup):
    checks, server, browser = setup.checks, setup.server, setup.browser
    charsets(checks, server, browser)
    owners(checks, setup.cases)
    compressed(setup)
    types(checks, server)


def parts_of(content_type):
    media_type, *parameters = content_type.replace(" ", "").lower().split(";")
    return media_type, parameters


def charsets(checks, server, browser):
    for name, content, text, charset in TEXTS:
        is_utf8 = charset == "UTF-8"
        with checks.check(f"{name}: charset=utf-8 is {'' if is_utf8 else 'not '}sent"):
            response = curl(f"{server.url}/texts/{name}")
            expect(response.content, content)
            _, parameters = parts_of(response.content_type)
            expect(parameters, ["charset=utf-8"] if is_utf8 else [])
            expect(head(f"{server.url}/texts/{name}").content_type, response.content_type)
        if browser:
            with checks.check(f"Chromium shows the text of {name}"):
                expect(visit(browser, f"{server.url}/texts/{name}").status, 200)
                # Chromium shows XML by a page that it makes, with an element for an error.
                expect(browser.run("document.querySelector('parsererror') === null"), True,
                       "parses:")
                shown = browser.run("document.documentElement.textContent")
                found = browser.run("document.characterSet")
                assert text in shown, f"shows {shown!r:.100} as {found}"
                expect(found, charset)
    with checks.check("the beginning of a long text decides: a character that is cut is allowed"):
        response = head(server.url + "/texts/long.txt")
        expect(parts_of(response.content_type), ("text/plain", ["charset=utf-8"]))


def owners(checks, cases):
    words = ("http", cases.root, "--listen", "127.0.0.1:0")
    for name, value in (("utf8.html", "text/html"), ("latin1.xml", "text/html"),
                        ("latin1.html", "text/html; charset=iso-8859-1"),
                        ("utf8.txt", "text/plain;charset=UTF-8")):
        with checks.check(f"--content-type '{name}: {value}' is sent as it is given"), \
                checks.start(*words, "--content-type", f"{name}: {value}") as server:
            expect(head(f"{server.url}/texts/{name}").content_type, value)
    for value in MALFORMED:
        with checks.check(f"--content-type '{value}' is refused at the start"):
            # With a folder that doesn't exist, it can't start either way.
            done = checks.run("http", cases.root / "nothing", "--listen", "127.0.0.1:0",
                              "--content-type", value)
            expect(done.returncode, 2)
            expect("--content-type" in done.stderr, True, f"it says {done.stderr!r:.80}:")


def compressed(setup):
    checks, cases, server, browser = setup.checks, setup.cases, setup.server, setup.browser
    with checks.check(".svgz: image/svg+xml, with Content-Encoding: gzip"):
        response = curl("--header", GZIP, server.url + "/compressed/picture.svgz")
        expect((parts_of(response.content_type)[0], response.content_encoding),
               ("image/svg+xml", "gzip"))
        expect(gzip.decompress(response.content), PICTURE)
    with checks.check("curl --compressed: .svgz arrives as an SVG"):
        url = server.url + "/compressed/picture.svgz"
        expect(curl("--compressed", url).content, PICTURE)
    if browser:
        with checks.check("Chromium shows an .svgz"):
            visit(browser, server.url + "/compressed/show.html")
            expect(browser.run(SHOWN), 40)
            expect(browser.run("document.images[0].naturalWidth"), 40)
    with checks.check("a compressed file is a file of its own unless an option says otherwise"):
        response = curl("--header", GZIP, server.url + "/compressed/app.js.gz")
        expect(response.content_encoding, None)
        expect(gzip.decompress(response.content), SCRIPT)
    flags = ("--content-encoding", "*.js.gz: gzip", "--content-encoding", "*.wasm.br: br")
    words = ("http", cases.root, "--listen", "127.0.0.1:0", *flags)
    with checks.check("--content-encoding can be given"), checks.start(*words) as encoded:
        by_encoding(checks, encoded, browser)
    for value in ("*.js.gz", "*.js.gz: zip"):
        with checks.check(f"--content-encoding '{value}' is refused at the start"):
            done = checks.run("http", cases.root / "nothing", "--listen", "127.0.0.1:0",
                              "--content-encoding", value)
            expect((done.returncode, "unexpected argument" in done.stderr), (2, False))


def by_encoding(checks, server, browser):
    for name, media_type, coding in (("app.js.gz", "text/javascript", "gzip"),
                                     ("game.wasm.br", "application/wasm", "br")):
        with checks.check(f"{name} is sent as {media_type} in {coding}"):
            response = curl("--header", "Accept-Encoding: gzip, br",
                            f"{server.url}/compressed/{name}")
            expect((response.status, parts_of(response.content_type)[0], response.content_encoding),
                   (200, media_type, coding))
            expect(sha(response.content) in (sha(MODULE_BR), sha(gzip.compress(SCRIPT, mtime=0)))
                   or gzip.decompress(response.content) == SCRIPT, True)
    with checks.check("another compressed file is still a file of its own"):
        response = curl("--header", GZIP, server.url + "/compressed/backup.gz")
        expect((response.content_encoding, gzip.decompress(response.content)), (None, b"a backup"))
    if clients.has("node"):
        with checks.check("node: fetch decompresses app.js.gz and game.wasm.br"):
            urls = [f"{server.url}/compressed/{name}" for name in ("app.js.gz", "game.wasm.br")]
            expect([result[:2] for result in node_fetch(*urls)],
                   [[200, sha(SCRIPT)], [200, sha(MODULE)]])
    if browser:
        with checks.check("Chromium runs app.js.gz and game.wasm.br"):
            visit(browser, server.url + "/compressed/show.html")
            told = browser.run("""new Promise((done) => {
                const script = document.createElement('script');
                script.onload = () => done(window.told);
                script.onerror = () => done('an error');
                script.src = 'app.js.gz';
                document.body.append(script);
            })""")
            expect(told, "from a compressed script")
            expect(browser.run("WebAssembly.instantiateStreaming(fetch('game.wasm.br'))"
                               ".then(() => 'it runs').catch(String)"), "it runs")


def types(checks, server):
    for path, wanted in (
        ("/types/meeting.ics", "text/calendar"), ("/types/video.ts", "video/mp2t"),
        ("/types/apple-app-site-association", "application/json"),
        ("/.well-known/apple-app-site-association", "application/json"),
        ("/types/map.kml", "application/vnd.google-earth.kml+xml"),
        ("/types/linux.torrent", "application/x-bittorrent"),
        ("/types/app.apk", "application/vnd.android.package-archive"),
        ("/types/book.epub", "application/epub+zip"),
    ):
        with checks.check(f"{path} is {wanted}"):
            response = curl(server.url + path)
            expect((response.status, parts_of(response.content_type)[0]), (200, wanted))
            expect(response.x_content_type_options, "nosniff")
            expect(head(server.url + path).content_type, response.content_type, "HEAD:")
    with checks.check("/types/program.ts is a text"):
        media_type, _ = parts_of(head(server.url + "/types/program.ts").content_type)
        expect(media_type.partition("/")[0], "text", media_type)
