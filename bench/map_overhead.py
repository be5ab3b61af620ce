"""What a map costs the process that runs the flow, beside Prefect's own `task.map` over the same function.

Both map the same items in flows on the same real server, and the CPU time of the whole client process is compared,
all of its threads included. Then 10,000 items, in a process of their own: how much memory grows after the first
thousand, beyond what the results take; once with `map`, and with `map_stored` and results of 10 KiB each.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from _report import report

from conduit import block
from conduit.cli.prefect_server import OwnServer, client_environment
from conduit.dataflow import progress
from conduit.settings import Settings

BAR = 1 / 20
ITEMS, MANY, FIRST = 1_000, 10_000, 1_000
FLAT_MIB = 16.0
LARGE = 10 * 1024


def double(number: int) -> int:
    """A function that does next to nothing, so that only the map is timed."""
    return number * 2


@block
def text(number: int) -> str:
    """A small result."""
    return f"the answer to question {number} is {number * 2}"


@block
def page(number: int) -> str:
    """A large one."""
    return f"{number} " * (LARGE // len(f"{number} "))


class Memory:
    """Watches a map, and notes the process's memory when the first thousand items are done."""

    first_bytes = 0

    def __init__(self) -> None:
        self.done = 0

    def started(self, name: str, total: int | None) -> None: ...

    def advanced(self, done: int, failed: int) -> None:
        before, self.done = self.done, self.done + done + failed
        if before < FIRST <= self.done:
            Memory.first_bytes = psutil.Process().memory_info().rss

    def ended(self) -> None: ...


def cpu_of(work: Callable[[], Any]) -> float:
    """CPU seconds of this process while it works, until its last message to the server has gone."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogHandler

    before = time.process_time()
    work()
    EventsWorker.instance().wait_until_empty()
    APILogHandler().flush()
    return time.process_time() - before


def cpu() -> dict[str, float]:
    """What both maps cost, within flows; what a flow run itself costs is in neither."""
    from prefect import flow, task

    doubled, tasked = block(double), task(double)

    @flow
    def with_blocks(items: list[int]) -> float:
        return cpu_of(lambda: doubled.map(items, batch=64))

    @flow
    def with_tasks(items: list[int]) -> float:
        return cpu_of(lambda: tasked.map(items).result())

    for one in (with_blocks, with_tasks):
        one([1])
    items = list(range(ITEMS))
    blocks = [with_blocks(items) for _ in range(3)]
    return {"blocks_s": sorted(blocks)[1], "tasks_s": with_tasks(items)}


def memory(stored: bool) -> dict[str, float]:
    """How much memory grows from the thousandth item to the last, beside the results."""
    from prefect import flow

    @flow
    def small() -> Any:
        return text.map(range(MANY), batch=64)

    @flow
    def large() -> Any:
        return page.map_stored(range(MANY), "pages", batch=64)

    progress.observers.append(Memory)
    found = []

    def run() -> None:
        results = (large if stored else small)()
        found.append((psutil.Process().memory_info().rss, results))

    run()
    last, results = found[0]
    held = 0 if stored else sum(map(sys.getsizeof, results[FIRST:]))
    size = sum(map(len, results)) if stored else held
    return {"grown_mib": (last - Memory.first_bytes - held) / 2**20, "results_mib": size / 2**20}


MEASURES: dict[str, Callable[[], dict[str, float]]] = {
    "cpu": cpu,
    "map": lambda: memory(stored=False),
    "map_stored": lambda: memory(stored=True),
}


def measured(what: str, environment: dict[str, str]) -> dict[str, float]:
    """One measure, in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--measure", what],
        env={**environment, "CONDUIT_PROGRESS": "off"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
        timeout=1200,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--measure", choices=MEASURES)
    if what := parser.parse_args().measure:
        print(json.dumps(MEASURES[what]()))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prefect = OwnServer(Settings(data_dir=folder, project=name))
        running = prefect.start()
        try:
            prefect.wait(running)
            environment = client_environment(folder / "client", running.api_url)
            environment |= {"CONDUIT_DATA_DIR": name, "CONDUIT_PROJECT": name, "PATH": os.environ["PATH"]}
            found = {what: measured(what, environment) for what in MEASURES}
        finally:
            prefect.stop()
    blocks, tasks = found["cpu"]["blocks_s"], found["cpu"]["tasks_s"]
    print(f"{ITEMS} items: {blocks * 1e3:.0f} ms of CPU with block.map, {tasks * 1e3:.0f} ms with task.map")
    for what in ("map", "map_stored"):
        grown, size = found[what]["grown_mib"], found[what]["results_mib"]
        print(
            f"{MANY} items with {what}: {grown:.1f} MiB more after the first {FIRST}, {size:.1f} MiB of results"
        )
    report(
        "map_overhead",
        blocks / tasks,
        BAR,
        "lower",
        ok=all(found[what]["grown_mib"] <= FLAT_MIB for what in ("map", "map_stored")),
        items=ITEMS,
        block_map_ms=round(blocks * 1e3),
        task_map_ms=round(tasks * 1e3),
        flat_bar_mib=FLAT_MIB,
        grown_mib={what: round(found[what]["grown_mib"], 1) for what in ("map", "map_stored")},
        results_mib={what: round(found[what]["results_mib"], 1) for what in ("map", "map_stored")},
    )


if __name__ == "__main__":
    main()
