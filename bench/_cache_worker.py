"""One of the processes that share a cache: puts and gets results whose content follows from their key.

Prints how many were wrong, how many were lost right after they were put, and how many there were.
"""

from __future__ import annotations

import hashlib
import random
import sys
import time
from pathlib import Path

from conduit.dataflow.caching import Shelf

SIZES = (20, 900, 9_000, 40_000, 90_000)


def data_of(number: int) -> tuple[str, bytes]:
    """A key, and what is kept under it."""
    draw = random.Random(number)
    return hashlib.sha256(str(number).encode()).hexdigest(), draw.randbytes(draw.choice(SIZES))


def main(folder: str, seed: str, seconds: str, max_bytes: str) -> None:
    shelf, draw = Shelf(Path(folder), int(max_bytes)), random.Random(int(seed))
    wrong = lost = rounds = 0
    print("begun", flush=True)
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        number = draw.randrange(400)
        key, data = data_of(number)
        found = shelf.get(key)
        if found is None:
            shelf.put(key, f"bench:b{number % 4}", data)
            found = shelf.get(key)
            lost += found is None
        wrong += found is not None and found != data
        rounds += 1
    shelf.close()
    print(wrong, lost, rounds, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
