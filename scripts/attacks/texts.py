"""Compression, for clients that don't read the response, and for HEAD requests."""

import itertools

from peers import (
    head, send_and_hold, send_and_hold_in_turn, send_and_read, send_and_reset)
from trial import PEAK, Limits

ENCODINGS = ["zstd", "br", "gzip"]


def compression(trials):
    """A compressed text stays in memory while a slow client reads it."""
    folder = trials.folder
    *targets, of_victim, other = folder.texts

    def victim():
        return [(target, content, {"Accept-Encoding": "gzip"})
                for target, content in ((t, folder.content(t)) for t in (of_victim, other))
                ] + folder.cold()

    def requests(coding, copies=1):
        return [head(target, Accept_Encoding=coding(number)) * copies
                for number, target in enumerate(targets)]

    for name, hold, sent, more in [
        ("64 texts in three encodings, unread", send_and_hold_in_turn,
         requests(lambda number: {3: "br", 7: "gzip"}.get(number % 8, "zstd")), {}),
        ("64 texts at once, each twice, unread", send_and_hold,
         requests(lambda number: ENCODINGS[number % 3], 2), {"proxied": False, "nginx": False}),
    ]:
        trials.attack(f"compression: {name}", lambda address, hold=hold, sent=sent: hold(address, sent),
                      victim, Limits(), pause=0.3, **more)


def only_heads(trials):
    """Compressing for a HEAD would be wasted work."""
    folder = trials.folder

    def requests(method):
        # Each text in each encoding, in an order in which a small cache never has the next one.
        return [(method, target, {"Accept-Encoding": ENCODINGS[number % 3]})
                for number, target in enumerate(itertools.islice(
                    itertools.cycle(folder.small_texts), 380))]

    trials.attack("head: 380 HEADs of 60 texts",
                  lambda address: send_and_read(address, requests("HEAD")), folder.cold,
                  Limits(seconds=2, compressions=0))
    trials.attack("head: 380 HEADs of 60 texts, reset at once",
                  lambda address: send_and_reset(address, [
                      head(target, method, **fields)
                      for method, target, fields in requests("HEAD")]),
                  folder.cold, Limits(seconds=2, compressions=0), proxied=False, nginx=False)
    trials.attack("head: 380 GETs of 60 texts",
                  lambda address: send_and_read(address, requests("GET")), folder.cold,
                  # Reading costs CPU time; this only checks that memory is bounded.
                  Limits(peak=2 * PEAK, left=None), proxied=False)
