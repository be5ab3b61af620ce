"""What a hit in Conduit's cache costs, beside one in Prefect's; and one cache under eight processes, some killed.

The same function is asked for a result that is kept: as a block, as an item of a block's map in a flow, and as a
Prefect task with its input policy and a persisted result, in turn and in one run against a real server. Then eight
processes use one cache for some seconds while others beside them are killed: once with room for a part of what they
put, where no result may be torn, and once with room for all of it, where none may be lost either.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _cache_worker import data_of
from _prefect import server
from _report import report

from conduit import block
from conduit.dataflow.caching import Shelf

BAR = 1 / 5
HIT_MS = 1.0
CALLS, ROUNDS, ITEMS = 10, 12, 256
SECONDS, KILLED = 6.0, 8
SMALL, LARGE = 4_000_000, 1 << 30


@dataclass
class Order:
    id: int
    customer: str
    lines: list[str]


made: list[int] = []


def priced(order: Order) -> Order:
    """What is looked up; that it does next to nothing counts for nobody."""
    made.append(order.id)
    return Order(order.id, order.customer, [line.upper() for line in order.lines])


def order(number: int) -> Order:
    return Order(number, "Ada", ["two apples", "a pear", "bread"])


def hits() -> dict[str, float]:
    """Median wall time of a hit in ms, by form."""
    with server():
        from prefect import flow, task
        from prefect.cache_policies import INPUTS

        logging.getLogger("prefect").setLevel(logging.WARNING)
        kept = block(cache=True)(priced)
        persisted = task(priced, cache_policy=INPUTS, persist_result=True)
        items = [order(number) for number in range(ITEMS)]
        forms: dict[str, tuple[Callable[[], Any], int]] = {
            "task": (lambda: persisted(items[0]), CALLS),
            "map": (lambda: kept.map(items), ITEMS),
        }
        times: dict[str, list[float]] = {name: [] for name in [*forms, "block"]}

        @flow(validate_parameters=False)
        def in_turn() -> None:
            forms["task"][0]()
            forms["map"][0]()
            for round_number in range(ROUNDS):
                for name in sorted(forms, reverse=bool(round_number % 2)):
                    call, count = forms[name]
                    begun = time.perf_counter()
                    for _ in range(count if name == "task" else 1):
                        call()
                    times[name].append((time.perf_counter() - begun) / count * 1e3)

        in_turn()
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            for one in items:
                kept(one)
            times["block"].append((time.perf_counter() - begun) / ITEMS * 1e3)
    assert sorted(made) == sorted([0, *range(ITEMS)]), "what was timed were no hits"
    return {name: statistics.median(each) for name, each in times.items()}


def start(folder: Path, seed: int, seconds: float, max_bytes: int) -> subprocess.Popen[str]:
    program = Path(__file__).with_name("_cache_worker.py")
    arguments = [sys.executable, str(program), str(folder), str(seed), str(seconds), str(max_bytes)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


def shared(folder: Path, max_bytes: int) -> tuple[int, int, int]:
    """What eight processes found wrong and lost, and how much they did; others are killed meanwhile."""
    draw = random.Random(7)
    lasting = [start(folder, seed, SECONDS, max_bytes) for seed in range(8)]
    for number in range(KILLED):
        doomed = start(folder, 100 + number, 60, max_bytes)
        time.sleep(draw.uniform(0.02, 0.3))
        os.kill(doomed.pid, signal.SIGKILL)
        doomed.communicate()
    sums = [0, 0, 0]
    for process in lasting:
        out, _ = process.communicate(timeout=SECONDS * 20)
        sums = [total + int(part) for total, part in zip(sums, out.split(), strict=True)]
    shelf = Shelf(folder, max_bytes)
    for number in range(400):
        key, data = data_of(number)
        found = shelf.get(key)
        sums[0] += found is not None and found != data
    damaged = (folder / "index.damaged").exists()
    over = sum(each.bytes for each in shelf.entries()) > max_bytes
    shelf.close()
    return sums[0] + damaged + over, sums[1], sums[2]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        torn, _, evicting = shared(Path(folder) / "small", SMALL)
        torn_too, lost, fitting = shared(Path(folder) / "large", LARGE)
    print(f"8 processes, {KILLED} killed: {torn} wrong of {evicting} looks while it evicts")
    print(f"8 processes, {KILLED} killed: {torn_too} wrong and {lost} lost of {fitting} looks")
    median = hits()
    for name, milliseconds in median.items():
        print(f"{name:6} {milliseconds:8.3f} ms a hit")
    report(
        "cache",
        median["block"] / median["task"],
        BAR,
        "lower",
        ok=median["block"] <= HIT_MS and not torn and not torn_too and not lost,
        hit_ms=round(median["block"], 3),
        map_item_ms=round(median["map"], 3),
        prefect_hit_ms=round(median["task"], 3),
        torn=torn + torn_too,
        lost=lost,
    )


if __name__ == "__main__":
    main()
