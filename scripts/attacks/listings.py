"""Clients that don't read large listings, each of which is in memory as a whole."""

from peers import head, send_and_hold
from trial import Limits

READERS = 60


def run(trials):
    folder = trials.folder
    listed = folder.listed
    last = b"entry-099999.txt"

    def victim():
        # Listings that nobody has requested before.
        return [(f"{listed}?{query}&q={part}", lambda content: last in content, {})
                for part in ("ry-0", "y-0", "-0", "0", "tr", "try", "try-", "try-0")
                for query in ("format=json", "format=text&sort=date", "sort=name&order=desc")]

    def hold(form):
        orders = [(sort, order) for sort in ("name", "size", "date") for order in ("asc", "desc")]
        return lambda address: send_and_hold(address, [
            head(f"{listed}?{form}&sort={sort}&order={order}&q={'entry-0'[:1 + number // 6]}")
            for number in range(READERS) for sort, order in [orders[number % 6]]])

    for form, more in [("format=json", {}),
                       ("format=html&per=10000", {"proxied": False, "nginx": False})]:
        trials.attack(f"listings: 60 × ?{form}, unread", hold(form), victim, Limits(),
                      flags=["--listing"], pause=0.3, **more)
