"""Work off the loop that nobody waits for any more."""

from peers import ask_and_reset, head
from trial import UNDER_WAY, Limits

REQUESTS = 300


def run(trials):
    folder = trials.folder
    listed, (*asked, _, _) = folder.listed, folder.texts
    limits = Limits(jobs=UNDER_WAY, seconds_after=2)
    listing = [(method, f"{listed}?{query}q={number}") for method, query in
               [("HEAD", ""), ("GET", ""), ("GET", "format=json&"), ("GET", "format=tar&")]
               for number in range(REQUESTS // 4)]
    for name, requests, more in [
        ("pool: 300 HEADs of a listing", [("HEAD", f"{listed}?q={number}")
                                          for number in range(REQUESTS)], {}),
        ("pool: 300 listings and archives", listing, {"behind": False, "nginx": False}),
        ("pool: 128 texts by GET and HEAD",
         [(method, target) for target in asked for method in ("GET", "HEAD")], {"behind": False}),
    ]:
        sent = [head(target, method, Accept_Encoding="zstd") for method, target in requests]
        trials.attack(name, lambda address, sent=sent: ask_and_reset(address, sent), folder.cold,
                      limits, flags=["--listing"], **more)
