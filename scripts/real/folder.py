"""The folder of the cases: a subfolder for each kind."""

import gzip
import os
import stat

# The bytes of names that URLs may contain as they are, and of some that they may not.
ODD_NAMES = ("plain.txt", "a|b^c.txt", "{id}.txt", "tick`.txt", '"quoted".txt', "<tag>.txt",
             "100%.txt", "a b.txt", "q?x.txt", "h#x.txt", "it's.txt", "a&b;c=d+e,f@g~h!$(i)[j].txt",
             "\u00e4\u65e5.txt", "{a|b}/<c>^`d`.txt")
BACKSLASH_NAMES = ("back\\slash.txt", "\\", "a\\..\\b.txt", "folder\\name/inner.txt", "plain.txt")
MANY = 2500
VAST = 12_000
# What the folder `partial` has beside its files, and can't be sent: 3 pipes, 2 sockets, 2 links,
# and a file that the server may not read.
LEFT_OUT = 8
OUTSIDE = b"outside the folder"
HIDDEN = b"hidden in the folder"

WORD = "Gr\u00fc\u00dfe"
CYRILLIC = "\u041f\u0440\u0438\u0432\u0435\u0442"
KANJI = "\u65e5\u672c\u8a9e\u306e\u30da\u30fc\u30b8"
# Each text's name, its bytes, what a client must read, and the charset that Chromium must find.
TEXTS = (
    ("utf8.html", f"<!doctype html><title>x</title><p>{KANJI}".encode(), KANJI, "UTF-8"),
    ("utf8-meta.html", f"<!doctype html><meta charset=utf-8><p>{KANJI}".encode(), KANJI, "UTF-8"),
    ("bom.html", f"\ufeff<!doctype html><title>x</title><p>{KANJI}".encode(), KANJI, "UTF-8"),
    # A comment declares nothing.
    ("comment.html", f"<!doctype html><!-- <meta charset=latin1> --><p>{KANJI}".encode(), KANJI,
     "UTF-8"),
    ("utf8.xml", f'<?xml version="1.0" encoding="utf-8"?><a>{KANJI}</a>'.encode(), KANJI, "UTF-8"),
    ("utf8.txt", f"{KANJI}\n".encode(), KANJI, "UTF-8"),
    ("utf8.svg", f'<svg xmlns="http://www.w3.org/2000/svg"><text>{KANJI}</text></svg>'.encode(),
     KANJI, "UTF-8"),
    ("shift-jis.html", f"<!doctype html><meta charset=shift_jis><p>{KANJI}".encode("shift_jis"),
     KANJI, "Shift_JIS"),
    ("latin1.html",
     ('<!doctype html><META content="text/html; charset=ISO-8859-1" http-equiv="Content-Type">'
      f"<p>{WORD}").encode("latin-1"), WORD, "windows-1252"),
    # All bytes are ASCII, so they are valid UTF-8 too.
    ("iso-2022-jp.html",
     f"<!doctype html><meta charset=iso-2022-jp><p>{KANJI}".encode("iso2022_jp"), KANJI,
     "ISO-2022-JP"),
    ("cp1251.html",
     f"<!doctype html><meta charset='windows-1251'><p>{CYRILLIC}".encode("cp1251"), CYRILLIC,
     "windows-1251"),
    ("koi8.xml", f"<?xml version='1.0' encoding='KOI8-R'?><a>{CYRILLIC}</a>".encode("koi8_r"),
     CYRILLIC, "KOI8-R"),
    ("utf16.html", f"<!doctype html><title>x</title><p>{KANJI}".encode("utf-16"), KANJI,
     "UTF-16LE"),
    ("latin1.css", f'@charset "ISO-8859-1"; p::before {{ content: "{WORD}" }}'.encode("latin-1"),
     WORD, "windows-1252"),
    ("latin1.js", f"console.log('{WORD}');".encode("latin-1"), WORD, "windows-1252"),
    ("latin1.txt", f"{WORD}\n".encode("latin-1"), WORD, "windows-1252"),
    ("latin1.xml", f'<?xml version="1.0" encoding="ISO-8859-1"?><a>{WORD}</a>'.encode("latin-1"),
     WORD, "windows-1252"),
    ("latin1.svg",
     (f'<?xml version="1.0" encoding="ISO-8859-1"?><svg xmlns="http://www.w3.org/2000/svg">'
      f"<text>{WORD}</text></svg>").encode("latin-1"), WORD, "windows-1252"),
    ("utf16.xml", f'<?xml version="1.0" encoding="UTF-16"?><a>{KANJI}</a>'.encode("utf-16"),
     KANJI, "UTF-16LE"),
)
PICTURE = (b'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30">'
           b'<rect width="40" height="30" fill="red"/></svg>')
SCRIPT = b"window.told = 'from a compressed script';\n"
MODULE = b"\0asm\x01\0\0\0"
# The same in Brotli, for which Python's standard library has no encoder: one stored block.
MODULE_BR = bytes.fromhex("8b03800061736d0100000003")
# More than is hashed, so that its first 64 KiB decide, which end in a cut character.
LONG_TEXT = b"x" * ((64 << 10) - 1) + "\u00e4".encode() + b"y" * (9 << 20)
CALENDAR = b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n"
VIDEO = (b"\x47" + bytes(187)) * 4


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def content_of(name):
    """What a file of the folders `odd` and `backslash` contains."""
    return f"the content of {name}\n".encode()


class Cases:
    """The folder at `root`, with something outside of it that must not be served."""

    def __init__(self, parent):
        self.parent = parent
        self.root = parent / "served"
        write(parent / "outside.txt", OUTSIDE)
        write(self.root / ".hidden/secret.txt", HIDDEN)
        write(self.root / "hello.txt", b"Hello World\n")
        write(self.root / "sub/page.html", b"<!doctype html><title>x</title>a page")
        for name in ODD_NAMES:
            write(self.root / "odd" / name, content_of(name))
        for name in BACKSLASH_NAMES:
            write(self.root / "backslash" / name, content_of(name))
        self._large()
        for name, content, _, _ in TEXTS:
            write(self.root / "texts" / name, content)
        write(self.root / "texts/long.txt", LONG_TEXT)
        self._compressed()
        self._types()
        self._links()
        self._partial()

    def _large(self):
        (self.root / "many").mkdir()
        for number in range(MANY):
            with open(self.root / f"many/file {number}.txt", "wb") as file:
                file.write(b"%d" % number)
        # One file with many names is created faster.
        first = self.root / "vast/00000.txt"
        write(first, b"")
        for number in range(1, VAST):
            os.link(first, first.with_name(f"{number:05}.txt"))

    def _compressed(self):
        folder = self.root / "compressed"
        write(folder / "picture.svgz", gzip.compress(PICTURE))
        write(folder / "app.js.gz", gzip.compress(SCRIPT))
        write(folder / "game.wasm.br", MODULE_BR)
        write(folder / "backup.gz", gzip.compress(b"a backup"))
        write(folder / "show.html", b"<!doctype html><title>x</title><img src=picture.svgz>")

    def _types(self):
        folder = self.root / "types"
        write(folder / "meeting.ics", CALENDAR)
        write(folder / "video.ts", VIDEO)
        write(folder / "program.ts", b"export const answer: number = 42;\n")
        write(folder / "apple-app-site-association", b'{"applinks":{}}')
        write(self.root / ".well-known/apple-app-site-association", b'{"applinks":{}}')
        for name in ("map.kml", "linux.torrent", "app.apk", "book.epub"):
            write(folder / name, b"\x01")

    def _links(self):
        folder = self.root / "links"
        write(folder / "target.txt", b"the target\n")
        write(folder / "deep/er/target.txt", b"the deep target\n")
        here = folder.resolve()
        for name, target in {
            "absolute.txt": here / "target.txt",
            "absolute-folder": here / "deep",
            "absolute-up.txt": here / "deep/../target.txt",
            "absolute-chain.txt": here / "absolute.txt",
            "relative.txt": "target.txt",
            "relative-chain.txt": "deep/../absolute-chain.txt",
            "absolute-outside.txt": self.parent.resolve() / "outside.txt",
            "relative-outside.txt": "../../outside.txt",
            "outside-folder": self.parent.resolve(),
            # It begins with the root's name, but not with the root.
            "absolute-beside": f"{self.root.resolve()}-beside/file.txt",
            # Beneath a `chroot` at the root it would be inside.
            "absolute-from-root.txt": "/hello.txt",
            "absolute-back-in.txt": f"{self.root.resolve()}/../served/links/../../outside.txt",
            "absolute-hidden.txt": self.root.resolve() / ".hidden/secret.txt",
            "hidden-folder": self.root.resolve() / ".hidden",
            "relative-hidden.txt": "../.hidden/secret.txt",
            "nowhere.txt": "nothing-here.txt",
            "loop.txt": here / "loop.txt",
        }.items():
            (folder / name).symlink_to(target)
        write(self.parent / "served-beside/file.txt", OUTSIDE)

    def _partial(self):
        folder = self.root / "partial"
        for name in "abc":
            write(folder / f"{name}.txt", b"a file that is sent")
            os.mkfifo(folder / f"pipe-{name}")
        for name in "ab":
            os.mknod(folder / f"socket-{name}", stat.S_IFSOCK | 0o600)
        (folder / "way-out.txt").symlink_to(self.parent.resolve() / "outside.txt")
        (folder / "way-up").symlink_to("../..")
        write(folder / "unreadable.txt", b"not for the server")
        (folder / "unreadable.txt").chmod(0)
