"""`--live`: pages reload when their files change, and styles change without a reload."""

import os

PAGE = """<!doctype html><html><head><meta charset=%s><title>t</title>
<link rel=stylesheet href=a.css><script src=a.js></script></head>
<body><!-- </body> --><p>%s</p><img src="late%%20%%28one%%29.svg"></body></html>
"""
COLOUR = "getComputedStyle(document.querySelector('p')).color"
TEXT = "document.querySelector('p').textContent"
FORBIDDING = "<!doctype html><meta http-equiv=Content-Security-Policy content=\"default-src 'none'\"><p>x"


def becomes(expression, value):
    """A promise that is kept when the expression has the value."""
    return f"""new Promise((done) => {{
      const look = () => String({expression}) === {value!r} ? done(true) : setTimeout(look, 10);
      look();
    }})"""


def save(path, text, encoding="utf-8"):
    """Writes a file as an editor does, by a rename."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding)
    os.rename(temporary, path)


def fill(root):
    (root / "docs").mkdir(parents=True)
    (root / "index.html").write_text(PAGE % ("utf-8", "one"))
    (root / "a.css").write_text("@import 'b.css'; p { color: rgb(1, 0, 0) }")
    (root / "b.css").write_text("p { margin: 1px }")
    (root / "a.js").write_text("window.ran = 1;")
    (root / "old.html").write_text(PAGE % ("windows-1252", "caf\u00e9"), "windows-1252")
    (root / "docs" / "x.txt").write_text("x")
    (root / "docs" / "a b.md").write_text("# b")
    (root / "forbidding.html").write_text(FORBIDDING)


def test(checks, browser, start, root, expect):
    """`start` starts a server of `root` with `--live` and more flags."""
    with start() as server:
        url = server.url + "/"
        with checks.check("a style changes without a reload"):
            browser.open(url)
            browser.run("window.kept = 1")
            for red in ("2", "3"):
                # What the page doesn't use changes nothing.
                (root / "other.css").write_text(red)
                (root / ".hidden").write_text(red)
                save(root / "a.css", f"@import 'b.css'; p {{ color: rgb({red}, 0, 0) }}")
                browser.run(becomes(COLOUR, f"rgb({red}, 0, 0)"))
                browser.run(becomes("document.querySelectorAll('link').length", "1"))
            expect(browser.run("window.kept"), 1)
        with checks.check("a page reloads when it changes, or a file that it has loaded"):
            browser.await_load(lambda: save(root / "index.html", PAGE % ("utf-8", "two")))
            expect(browser.run(f"[window.kept, {TEXT}]"), [None, "two"])
            browser.await_load(lambda: (root / "a.js").write_text("window.ran = 2;"))
            expect(browser.run("window.ran"), 2)
            browser.await_load(lambda: save(root / "b.css", "p { margin: 7px }"))
            expect(browser.run("getComputedStyle(document.querySelector('p')).margin"), "7px")
            picture = "<svg xmlns='http://www.w3.org/2000/svg' width='5' height='5'/>"
            browser.await_load(lambda: save(root / "late (one).svg", picture))
            expect(browser.run("document.images[0].naturalWidth"), 5)
        with checks.check("a page reloads at its other URLs, and in another encoding"):
            for path, name in (("index.html", "index.html"), ("?query#part", "index.html"), ("old", "old.html")):
                browser.open(url + path)
                browser.await_load(lambda name=name: save(
                    root / name, PAGE % ("windows-1252", "\u00fcber"), "windows-1252"))
                expect(browser.run(TEXT), "\u00fcber")
        with checks.check("a listing reloads when its folder changes"):
            browser.open(url + "docs/")
            browser.await_load(lambda: (root / "docs" / "new.txt").write_text("new"))
            names = "[...document.querySelectorAll('#files .n bdi')].map((name) => name.textContent)"
            expect(browser.run(names), ["a b.md", "new.txt", "x.txt"])
        with checks.check("a Markdown file as a page reloads when it changes"):
            browser.open(url + "docs/a%20b.md?format=html#readme-b")
            browser.await_load(lambda: save(root / "docs" / "a b.md", "# Changed"))
            expect(browser.run("document.querySelector('.md h2').textContent"), "Changed")
        with checks.check("an error reloads when its page appears"):
            for path, name in (("missing", "missing.html"), ("a%20b/", "a b/index.html")):
                browser.open(url + path)
                expect("Nothing is here" in browser.run("document.body.textContent"), True)
                (root / name).parent.mkdir(exist_ok=True)
                browser.await_load(lambda name=name: save(root / name, PAGE % ("utf-8", name)))
                if browser.run("document.querySelector('.status')"):
                    browser.wait_for("Page.loadEventFired")  # the folder appeared before its page
                browser.run(becomes(TEXT, name))
        browser.errors()
        with checks.check("a page whose policy forbids the script is named"):
            browser.open(url + "forbidding")
            named = [line for line in server.errors if "/forbidding.html" in line]
            expect(len(named), 1, server.errors)
            expect("add 'self' to connect-src and 'self' to script-src" in named[0], True, named)
            expect(any("Content Security Policy" in error for error in browser.errors()), True)
        with checks.check("pages of other origins can't follow the changes"):
            browser.open("data:text/html,<p>x")
            socket = f"new WebSocket({url.replace('http', 'ws', 1) + '.sockeye/live'!r})"
            answer = browser.run(f"""new Promise((done) => {{
              const socket = {socket};
              socket.onopen = () => done("open");
              socket.onerror = () => done("refused");
            }})""")
            expect(answer, "refused")
        browser.open(url)
        port = server.address[1]
    with checks.check("a page reloads after a restart of the server"):
        save(root / "index.html", PAGE % ("utf-8", "restarted"))
        browser.events = []
        with start("--listen", f"127.0.0.1:{port}"):
            browser.wait_for("Page.loadEventFired")
            expect(browser.run(TEXT), "restarted")
    browser.errors()
