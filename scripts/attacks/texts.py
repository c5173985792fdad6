"""Texts that are compressed: for readers that don't read, and for those that want only the head."""

import itertools

from peers import ask_and_hold, ask_and_read, ask_and_reset, head
from trial import Limits

CODINGS = ["zstd", "br", "gzip"]


def compression(trials):
    """Compressed texts stay in memory as long as somebody reads them slowly."""
    folder = trials.folder
    *asked, of_victim, other = folder.texts

    def victim():
        return [(target, content, {"Accept-Encoding": "gzip"})
                for target, content in ((t, folder.content(t)) for t in (of_victim, other))
                ] + folder.cold()

    def hold(coding, copies=1):
        return lambda address: ask_and_hold(address, [
            head(target, Accept_Encoding=coding(number)) * copies
            for number, target in enumerate(asked)])

    trials.attack("compression: 64 texts in three codings, unread",
                  hold(lambda number: CODINGS[number % 3]), victim, Limits())
    trials.attack("compression: 64 texts, each twice by gzip, unread",
                  hold(lambda _: "gzip", 2), victim, Limits(), behind=False, nginx=False)


def only_heads(trials):
    """What is compressed for a HEAD is thrown away."""
    folder = trials.folder

    def requests(method):
        # Each text in each coding, in an order in which a small cache never has the next one.
        return [(method, target, {"Accept-Encoding": CODINGS[number % 3]})
                for number, target in enumerate(itertools.islice(
                    itertools.cycle(folder.small_texts), 380))]

    trials.attack("head: 380 HEADs of 60 texts",
                  lambda address: ask_and_read(address, requests("HEAD")), folder.cold,
                  Limits(seconds=2, compressions=0))
    trials.attack("head: 380 HEADs of 60 texts, reset at once",
                  lambda address: ask_and_reset(address, [
                      head(target, method, **fields) for method, target, fields in requests("HEAD")]),
                  folder.cold, Limits(seconds=2, compressions=0), behind=False, nginx=False)
    trials.attack("head: 380 GETs of 60 texts",
                  lambda address: ask_and_read(address, requests("GET")), folder.cold, Limits())
