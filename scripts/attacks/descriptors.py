"""Clients that don't read responses from files, so that the files stay open."""

import itertools
import random

from peers import head, send_and_hold
from trial import Limits

PIPELINED = 1100
# Descriptors of the server itself: listeners, and files that are cached for the next request.
BASE = 600
RANGES = "bytes=0-9,50000-59999,100000-100009"


def limit(connections):
    """For each connection a socket, and the files of the two ranges that its output may hold."""
    return Limits(descriptors=3 * connections + BASE)


def run(trials):
    folder = trials.folder
    files = folder.files

    def pipeline(connections, kinds):
        """Each connection pipelines requests of several kinds, in an order of its own."""
        def requests(number):
            order = random.Random(number).sample(files, PIPELINED)
            return b"".join(head(target, method, **fields)
                            for target, (method, fields) in zip(order, itertools.cycle(kinds)))

        sent = [requests(number) for number in range(connections)]
        return lambda address: send_and_hold(address, sent)

    whole = ("GET", {})
    for name, connections, kinds, more in [
        ("descriptors: 30 × 1,100 files", 30, [whole], {}),
        ("descriptors: 2 × 1,100, limit 1,024", 2, [whole],
         {"ulimit": 1024, "proxied": False, "nginx": False}),
        ("descriptors: 30 × 1,100 ranges and HEADs", 30,
         [("GET", {"Range": "bytes=10000-"}), ("GET", {"Range": RANGES}), ("HEAD", {}), whole],
         {"proxied": False, "nginx": False}),
    ]:
        trials.attack(name, pipeline(connections, kinds), folder.cold, limit(connections), **more)

    # Not behind a proxy: the loopback between the two would exhaust the kernel's memory for TCP.
    trials.attack("descriptors: 1,000 × 1 large file",
                  lambda address: send_and_hold(address, [head(target) for target in folder.large]),
                  folder.cold, limit(1000), proxied=False)
    archive = [head(f"/large/?format=tar&n={number}") * 20 for number in range(60)]
    trials.attack("descriptors: 60 × 20 archives",
                  lambda address: send_and_hold(address, archive), folder.cold, limit(60),
                  flags=["--listing"], proxied=False, nginx=False)
