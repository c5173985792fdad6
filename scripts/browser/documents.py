"""Markdown files as pages: a folder of documents, read by following links."""

import os
import urllib.request

import gallery
from devtools import TIMEOUT

SCREENS = gallery.SCREENS
FIGURE = """<svg xmlns="http://www.w3.org/2000/svg" width="300" height="120" viewBox="0 0 300 120">
<style>rect{fill:#ffffff}text{fill:#000000;font:20px sans-serif}
@media (prefers-color-scheme:dark){rect{fill:#000000}text{fill:#ffffff}}</style>
<rect width="300" height="120"/><text x="20" y="66">A figure</text></svg>
"""
WIDE = "| " + " | ".join(f"column {number}" for number in range(14)) + " |\n" + "|---" * 14 + "|\n" \
    + ("| " + " | ".join("`a_value`" for _ in range(14)) + " |\n") * 3
GUIDE = f"""# A guide <b>in</b> *Markdown*

![A figure](figures/a.svg)

Back to [the start](README.md), or on to [the notes](notes%20(1).md).

```console
$ a-command --with=many --flags=that --make=it --longer=than --a-phone=is --wide=or --even=a --desktop=screen
```

{WIDE}
{"A paragraph of some words, so that the next heading is not in sight. " * 120}

## What comes last

[Up](#A-guide-binb-Markdown)

{"More words. " * 300}
"""
HOSTILE = "<img src=x onerror=alert(1)>"
# The colour of the middle of the figure, as the browser draws it.
FIGURE_COLOUR = """(async () => {
  const image = document.images[0];
  await image.decode();
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0);
  return [...context.getImageData(5, 5, 1, 1).data].slice(0, 3);
})()"""
# Whether the heading is at the top of the screen.
IN_SIGHT = """(() => {
  const { top, bottom } = document.querySelector(':target').getBoundingClientRect();
  return top >= 0 && bottom <= innerHeight / 2;
})()"""


def fill(root):
    """Creates the documents."""
    for name, text in (("README.md", "# Start\n\nThen the [last part](guide.md#What-comes-last) of the guide.\n"),
                       ("guide.md", GUIDE), ("notes (1).md", "Without a heading."), ("old.md", None),
                       ("figures/a.svg", FIGURE),
                       (f"{HOSTILE}/\"><script>alert(1).md", "# </title><script>alert(1)</script>\n")):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"# caf\xe9\n" if text is None else text.encode())
        os.utime(path, (gallery.NOW, gallery.NOW))


def click(text):
    return f"[...document.querySelectorAll('a')].find((link) => link.textContent === {text!r}).click()"


def follow(checks, browser, url, expect):
    path = "location.pathname + location.search + location.hash"
    with checks.check("Markdown: links lead from a listing to a page, and from page to page"):
        browser.screen(1280, 900)
        browser.open(url)
        browser.follow("document.querySelector('.md a').click()")
        expect(browser.run(path), "/guide.md?format=html#readme-what-comes-last")
        expect(browser.run("document.querySelector(':target').textContent"), "What comes last")
        expect(browser.run(IN_SIGHT), True)
        host = url.split("/")[2]
        expect(browser.run("document.title"), f"A guide <b>in</b> Markdown \u2014 {host}")
        expect(browser.run("document.querySelector('.crumbs').textContent"), host)
        browser.run(click("Up"))
        expect(browser.run(f"({path}).split('#')[1]"), "readme-a-guide-binb-markdown")
        browser.follow(click("the notes"))
        expect(browser.run(path), "/notes%20(1).md?format=html")
        expect(browser.run("document.title"), f"notes (1).md \u2014 {host}")
        browser.open(url)
        browser.follow(click("guide.md"))
        browser.follow(click("the start"))
        expect(browser.run(path), "/README.md?format=html")
        browser.follow("document.querySelector('.crumbs a').click()")
        expect(browser.run(path), "/")
        expect(browser.errors(), [])
    with checks.check("Markdown: the source is the file, and what can't be rendered is text"):
        browser.open(url + "guide.md?format=html")
        source = browser.run("document.querySelector('.sum a').href")
        with urllib.request.urlopen(source, timeout=TIMEOUT) as answer:
            expect((source, answer.read().decode()), (url + "guide.md", GUIDE))
        browser.open(url + "old.md?format=html")
        expect(browser.run("document.querySelector('pre').textContent"), "# caf\\xe9\n")
        expect("not in UTF-8" in browser.run("document.querySelector('.note').textContent"), True)
        expect(browser.errors(), [])
    with checks.check("Markdown: hostile names and headings are text"):
        browser.open(url)
        browser.follow("document.querySelector('#files .f:nth-child(1) a').click()")
        browser.follow("document.querySelector('#files .n a').click()")
        expect(browser.run("document.querySelector('h1').textContent"), "\"><script>alert(1).md")
        expect(browser.run("document.querySelector('.crumbs a[href=\"./\"]').textContent"), HOSTILE)
        expect(browser.run("document.title").startswith("</title><script>alert(1)</script> \u2014 "), True)
        expect(browser.run("[document.images.length, document.scripts.length]"), [0, 1])  # ours
        expect(browser.errors(), [])


def look(checks, browser, url, pictures, expect):
    """Saves the screenshots."""
    for screen, width, height, is_phone in SCREENS:
        for scheme in ("light", "dark"):
            with checks.check(f"Markdown: a page fits, and its figure has the theme: {screen}, {scheme}"):
                browser.screen(width, height, is_phone, scheme == "dark")
                browser.open(url + "guide.md?format=html")
                expect(browser.run(FIGURE_COLOUR), [0, 0, 0] if scheme == "dark" else [255, 255, 255])
                expect(browser.run("document.documentElement.scrollWidth <= innerWidth"), True)
                for wide in (".md pre", ".md .wide"):
                    element = f"document.querySelector('{wide}')"
                    expect(browser.run(f"{element}.scrollWidth > {element}.clientWidth"), True, wide)
                browser.picture(pictures / f"markdown-{screen}-{scheme}.png")
                expect(browser.errors(), [])


def tour(checks, browser, url, folder, expect):
    """Reads the project's own documentation. `folder` is where it is."""
    with checks.check("Markdown: the project's documentation can be read by following links"):
        browser.screen(1180, 900)
        browser.open(url)
        browser.follow(click("listings.md").replace("'a'", "'.md a'"))
        expect(browser.run("document.title").startswith("Listings \u2014 "), True)
        browser.follow("document.querySelector('a[href*=\"reload-while-you-edit\"]').click()")
        expect(browser.run("location.pathname + location.search"), "/publish.md?format=html")
        expect(browser.run("document.querySelector(':target').textContent"), "Reload while you edit")
        expect(browser.run(IN_SIGHT), True)
        expect(browser.errors(), [])
    with checks.check("Markdown: each link of it to a heading leads to one"):
        headings, links = {}, set()
        for path in sorted(folder.glob("*.md")):
            browser.open(f"{url}{path.name}?format=html")
            headings[path.name] = browser.run("[...document.querySelectorAll('.md [id]')].map(({id}) => id)")
            links |= set(browser.run("""[...document.querySelectorAll('.md a[href*="#"]:not([rel])')]
                .map(({href}) => href)"""))
        browser.errors()  # charts in ../benches are outside the folder
        # Not those to documents outside the folder.
        inside = [link.removeprefix(url).split("?format=html#") for link in links]
        inside = [(name, heading) for name, heading in inside if name in headings]
        expect(len(inside) > 50, True, f"{len(inside)} links")
        expect([link for link in inside if link[1] not in headings[link[0]]], [])
