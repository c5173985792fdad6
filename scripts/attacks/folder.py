"""The served folder. Each part is created when an attack first needs it."""

import base64
import functools
import itertools
import os


class Folder:
    def __init__(self, root):
        self.root = root
        self.root.mkdir()
        (root / "small.txt").write_bytes(b"small\n")
        self._cold = itertools.count()

    def _part(self, name):
        directory = self.root / name
        directory.mkdir()
        return directory

    @functools.cached_property
    def files(self):
        """1,200 files of 120 KB, of a type that is not compressed. Returns their targets."""
        directory, block = self._part("files"), os.urandom(120_000)
        for number in range(1200):
            (directory / f"{number}.bin").write_bytes(block)
        return [f"/files/{number}.bin" for number in range(1200)]

    @functools.cached_property
    def large(self):
        """1,000 sparse files of 32 MiB. Returns their targets."""
        directory = self._part("large")
        for number in range(1000):
            with (directory / f"{number}.bin").open("wb") as file:
                file.truncate(32 << 20)
        return [f"/large/{number}.bin" for number in range(1000)]

    @functools.cached_property
    def texts(self):
        """66 different texts of 8 MiB. Returns their targets."""
        return self._texts("texts", 66, 8 << 20)

    @functools.cached_property
    def small_texts(self):
        """60 different texts of 2 MiB. Returns their targets."""
        return self._texts("small-texts", 60, 2 << 20)

    def _texts(self, name, count, size):
        directory = self._part(name)
        text = base64.encodebytes(os.urandom(size * 3 // 4))[:size]
        for number in range(count):
            start = number * 9973
            with (directory / f"{number}.txt").open("wb") as file:
                file.writelines([text[start:], text[:start]])
        return [f"/{name}/{number}.txt" for number in range(count)]

    @functools.cached_property
    def listed(self):
        """A folder with 100,000 names. Returns its target."""
        directory = os.open(self._part("listed"), os.O_RDONLY)
        for number in range(100_000):
            name = f"entry-{number:06}.txt"
            os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=directory))
        os.close(directory)
        return "/listed/"

    @functools.cached_property
    def documents(self):
        """60 Markdown files with much markup, and 200 short ones. Returns the targets of both."""
        directory = self._part("documents")
        for number in range(60):
            (directory / f"{number}.md").write_text(f"{number}\n" + "[a](b)*c*`d`" * 7000)
        for number in range(200):
            (directory / f"short-{number}.md").write_text(f"# Short {number}\n")
        return ([f"/documents/{number}.md" for number in range(60)],
                [f"/documents/short-{number}.md" for number in range(200)])

    @functools.cached_property
    def _cold_place(self):
        return self._part("cold")

    def cold(self, count=500):
        """Requests of a victim for small files that nobody has requested before."""
        numbers = list(itertools.islice(self._cold, count))
        for number in numbers:
            (self._cold_place / f"{number}.txt").write_text(f"cold {number}\n")
        return [(f"/cold/{number}.txt", f"cold {number}\n".encode(), {}) for number in numbers]

    def content(self, target):
        return self.root.joinpath(target.lstrip("/")).read_bytes()
