"""Clients that don't read large listings or pages of Markdown, each of which is in memory as a whole."""

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

    heavy, short = folder.documents

    def readers():
        return [(f"{target}?format=html", lambda content: b"<h2 id=\"readme-short-" in content, {})
                for target in short]

    def hold_pages(address):
        # The parameters that are ignored make no other page.
        return send_and_hold(address, [head(f"{target}?format=html&per={1 + number}&x={number}")
                                       for number in range(4) for target in heavy])

    trials.attack("listings: 240 × a Markdown file as a page, unread", hold_pages, readers, Limits(),
                  flags=["--listing"], pause=0.05, nginx=False)
