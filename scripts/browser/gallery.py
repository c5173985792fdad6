"""Screenshots of listings: as a list and as a grid, on a desktop and on a phone, in light and dark mode.

    listing-40-grid-phone-dark.png      a folder of 40 entries as a grid, on a phone, in dark mode
    listing-readme-desktop-light.png    the README below the entries

The pictures are for people, who compare them by eye. Each page is also checked: it fits its screen, and
the browser reports no error.
"""

import math
import os
import struct
import zlib

NOW = 1_790_000_000
DAY = 24 * 60 * 60
SCREENS = (("desktop", 1280, 900, False), ("phone", 390, 844, True))
PAGES = {
    "3": "three/",
    "40": "forty/",
    "10000": "ten-thousand/",
    "deep": "forty/folder 1/deeper/",
    "empty": "empty/",
    "no-match": "forty/?q=zebra",
    "filtered": "forty/?q=photo",
}
# What has the same picture as a list and as a grid, or none in it.
ONLY_LISTS = ("deep", "empty", "no-match")
README = """# Sunhill

Photos and releases of the **Sunhill** project. Everything in here may be taken, changed and *passed on*:
see the [licence](LICENSE.txt), or ask <hello@example.org>.

![A hill in the evening](photo-1.png)

## What is where

| Folder | Content | Size |
|---|---|---:|
| `photos/` | from the beach and from the hill | 12 MiB |
| `releases/` | what was released, with [checksums](sums.txt) | 214 MiB |

> [!NOTE]
> The folder is copied every night.

## Install

1. Download the archive:

   ```console
   $ curl -O https://example.org/releases/sunhill-1.2.tar.xz
   ```

2. Run `make`.

- [x] release 1.2
- [ ] write the *manual*

<b onclick="alert(1)">HTML</b> is shown as text. [Not a link](javascript:alert(1))
"""
LOGO = (b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 80"><rect width="200" height="80" rx="12" '
        b'fill="#a92f1d"/><circle cx="42" cy="40" r="22" fill="#fff"/></svg>')


def chunk(kind, data):
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def picture(width, height, seed):
    """A PNG of hills under a sky."""
    red, green, blue = (seed * step % 256 for step in (37, 91, 151))
    lines = bytearray()
    for y in range(height):
        lines.append(0)
        for x in range(width):
            at = x / width * 5
            hill = height * (0.62 + 0.12 * math.sin(at + seed) + 0.05 * math.sin(3.4 * at + seed))
            depth = y / height
            if y > hill:
                lines += bytes((red // 3, 100 + green // 4 - int(60 * depth), 70 + blue // 6))
            else:
                lines += bytes((120 + int(red * 0.4 * depth), 150 + int(60 * depth), 210 - blue // 6))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(lines)))
            + chunk(b"IEND", b""))


def fill(root):
    """Creates the folders."""
    def write(name, data, age):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (NOW - age * DAY * 1.37,) * 2)

    for age, (name, size) in enumerate((("index.css", 14_300), ("notes.txt", 312), ("talk.mp4", 1_412_000))):
        write("three/" + name, b"x" * size, age)
    for number in range(1, 13):
        write(f"forty/photo-{number}.png", picture(240, 160 + number * 4 % 60, number), number)
        write(f"forty/chapter {number}.md", b"x" * (2000 * number), 3 * number)
    for number in range(1, 5):
        write(f"forty/folder {number}/deeper/file.txt", b"x", number)
    for age, (name, size) in enumerate((
            ("report.pdf", 99_999), ("song.mp3", 4_120_000), ("film.mp4", 9_120_000), ("data.json", 52),
            ("archive.tar.gz", 7_340_030), ("binary", 65_536), ("broken.jpg", 100), ("LICENSE.txt", 1_100),
            ("a rather long name of a file that somebody wanted to have in full (final) (2).docx", 9_000))):
        write("forty/" + name, b"x" * size, 5 * age)
    write("forty/logo.svg", LOGO, 2)
    write("forty/small.png", picture(16, 16, 3), 2)
    write("forty/README.md", README.encode(), 1)
    (root / "empty").mkdir()
    (root / "ten-thousand").mkdir()
    for number in range(10_000):
        suffix = ("txt", "jpg", "zip")[number % 3]
        (root / "ten-thousand" / f"file {number}.{suffix}").write_bytes(b"")


def take(browser, url, pictures, expect):
    """Saves all screenshots."""
    for name, path in PAGES.items():
        for layout in ("list", "grid") if name not in ONLY_LISTS else ("list",):
            for screen, width, height, is_phone in SCREENS:
                for scheme in ("light", "dark"):
                    browser.screen(width, height, is_phone, scheme == "dark")
                    browser.open(f"{url}{path}{'&' if '?' in path else '?'}view={layout}")
                    browser.run(f"({IMAGES_LOADED})()")
                    kind = "" if name in ONLY_LISTS else f"-{layout}"
                    browser.picture(pictures / f"listing-{name}{kind}-{screen}-{scheme}.png")
                    expect(browser.run("document.documentElement.scrollWidth <= innerWidth"), True)
                    if (name, layout) == ("40", "list"):
                        browser.run("document.querySelector('.readme').scrollIntoView()")
                        browser.run(f"({IMAGES_LOADED})()")
                        browser.picture(pictures / f"listing-readme-{screen}-{scheme}.png")
                    expect(browser.errors(), [])
    for screen, width, height, is_phone in SCREENS:
        for scheme in ("light", "dark"):
            browser.screen(width, height, is_phone, scheme == "dark")
            browser.open(f"{url}/forty/nothing.html")
            # The style applies, though the page's policy allows no other one.
            expect(browser.run("getComputedStyle(document.querySelector('.path')).borderTopStyle"), "solid")
            # To the folder, or to / where only a thread can look it up.
            back = "'/forty/'.startsWith(document.querySelector('a.back').pathname)"
            expect(browser.run(back), True)
            expect(browser.run("document.documentElement.scrollWidth <= innerWidth"), True)
            browser.picture(pictures / f"error-404-{screen}-{scheme}.png")
            browser.errors()  # Chromium reports each 404.


# Resolves when the images in sight have loaded.
IMAGES_LOADED = """() => new Promise((done) => {
  const look = (tries) => {
    const waiting = [...document.images].filter((image) => !image.complete &&
      image.getBoundingClientRect().top < innerHeight);
    if (waiting.length === 0 || tries === 0) requestAnimationFrame(() => done(waiting.length));
    else setTimeout(() => look(tries - 1), 20);
  };
  requestAnimationFrame(() => look(500));
})"""
