"""Runs exchanges and damaged input against a server: see `scripts/foreign-h2`."""

import argparse
import collections
import concurrent.futures
import itertools
import pathlib
import sys
import time
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import h2_damage  # noqa: E402
import h2_differences  # noqa: E402
import h2_exchange  # noqa: E402

MAX_SHOWN = 5
TURN = 200  # damaged connections between two looks at the clock
THREADS = 32


def exchanges(address, seeds, end):
    """Valid connections until a time. Returns the number of failures."""
    done = failed = 0
    for seed in seeds:
        if time.monotonic() > end:
            break
        done += 1
        try:
            h2_exchange.Exchange(address, seed).run()
        except Exception:
            failed += 1
            if failed <= MAX_SHOWN:
                print(f"exchange {seed}: {traceback.format_exc(limit=-2)}")
    print(f"{done} connections that keep to the rules: {failed} failed")
    return failed


def damaged(address, seeds, end):
    """Damaged connections until a time. Returns the number of differences that aren't listed."""
    alike, listed, unlisted = 0, collections.Counter(), 0

    def one(seed):
        their, why, data = h2_damage.theirs(h2_damage.case(seed))
        our = h2_damage.ours(address, data)
        return seed, data, h2_differences.reason(their, why, our, data), \
            f"h2: {why or their.errors()}; ours: {our.errors()}"

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        seeds = iter(seeds)
        while time.monotonic() < end:
            turn = list(itertools.islice(seeds, TURN))
            for seed, data, reason, label in pool.map(one, turn):
                if reason == "":
                    alike += 1
                elif reason:
                    listed[reason] += 1
                else:
                    unlisted += 1
                    if unlisted <= MAX_SHOWN:
                        print(f"damaged {seed}: {label}")
                        for frame in h2_damage.split(data):
                            print(f"    {frame[:9].hex(' ')}  {frame[9:41].hex()}")
            if len(turn) < TURN:
                break
    for reason, count in listed.most_common():
        print(f"{count:6} {reason}")
    print(f"{alike} damaged connections judged alike, {sum(listed.values())} differently for "
          f"{len(listed)} listed reasons, {unlisted} for none")
    return unlisted


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--only", type=int)
    args = parser.parse_args()
    address = args.host, args.port
    seeds = [args.only] if args.only is not None else range(args.seed, 1 << 60)
    began = time.monotonic()
    print(f"{args.seconds:.0f} s from seed {args.seed}")
    failed = exchanges(address, seeds, began + args.seconds / 2)
    failed += damaged(address, seeds, began + args.seconds)
    sys.exit(1 if failed else 0)


main()
