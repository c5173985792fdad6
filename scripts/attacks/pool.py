"""Jobs of the pool whose clients have left."""

from peers import head, send_and_reset
from trial import IN_FLIGHT, Limits

REQUESTS = 300


def run(trials):
    folder = trials.folder
    listed, (*targets, _, _) = folder.listed, folder.texts
    limits = Limits(jobs=IN_FLIGHT, seconds_after=2)
    listing = [(method, f"{listed}?{query}q={number}") for method, query in
               [("HEAD", ""), ("GET", ""), ("GET", "format=json&"), ("GET", "format=tar&")]
               for number in range(REQUESTS // 4)]
    heads = [("HEAD", f"{listed}?q={number}") for number in range(REQUESTS)]
    apart = {"proxied": False, "nginx": False}
    for name, requests, began, more in [
        ("300 HEADs of a listing, reset", heads, True, {}),
        ("300 HEADs of a listing, reset at once", heads, False, apart),
        ("300 listings and archives, reset", listing, True, apart),
        ("128 texts by GET and HEAD, reset",
         [(method, target) for target in targets for method in ("GET", "HEAD")], True,
         {"proxied": False}),
    ]:
        sent = [head(target, method, Accept_Encoding="zstd") for method, target in requests]
        trials.attack(f"pool: {name}",
                      lambda address, sent=sent, began=began: send_and_reset(address, sent, began),
                      folder.cold, limits, flags=["--listing"], **more)
