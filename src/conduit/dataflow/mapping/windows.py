"""Batches under way: enough of them to keep all slots busy, and none is started after the map has been stopped."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from functools import partial
from queue import SimpleQueue

import anyio

from conduit.dataflow.mapping.batch import Batch
from conduit.dataflow.mapping.cutting import Cutter
from conduit.dataflow.mapping.gathering import Gathered
from conduit.dataflow.mapping.job import Job
from conduit.dataflow.mapping.outcome import Outcome, Results

# Starts a batch, has it say when it is done, and gives what waits for its outcome.
Start = Callable[[Batch, Callable[[], None]], Callable[[], Outcome]]

# Batches of items that run one after another, where something runs several batches.
BATCHES_AT_ONCE = min(32, (os.cpu_count() or 1) + 4)


def in_windows(
    work: Job, cutter: Cutter, gathered: Gathered, start: Start, at_once: int = BATCHES_AT_ONCE
) -> None:
    """Starts all batches, not too many at once.

    Args:
        work: The map.
        cutter: Gives the batches.
        gathered: Takes what they come to.
        start: See there.
        at_once: Most batches, where the items of each run one after another.
    """
    # Told by whichever batch ends first: waiting for the oldest would leave slots idle behind a slow one.
    done: SimpleQueue[int] = SimpleQueue()
    waits: dict[int, tuple[Batch, Callable[[], Outcome]]] = {}

    def settle() -> None:
        batch, wait = waits.pop(done.get())
        gathered.add(batch, wait())

    try:
        for number, batch in enumerate(cutter):
            while not _room(work, [begun for begun, _ in waits.values()], batch, at_once):
                settle()
            if gathered.stopped:
                break
            waits[number] = batch, start(batch, partial(done.put, number))
    except Exception:
        # Of taking the items, or of starting a batch. An interrupt waits for nothing.
        while waits:
            settle()
        raise
    while waits:
        settle()


async def in_windows_async(
    work: Job, cutter: Cutter, gathered: Gathered, runner: Callable[[Batch], Awaitable[Results]]
) -> None:
    """``in_windows`` with all batches in this event loop."""
    work.slots = anyio.Semaphore(work.concurrency or 1)
    under_way: dict[int, Batch] = {}
    freed = anyio.Event()
    failed: Exception | None = None

    async def one(number: int, batch: Batch) -> None:
        outcome: Outcome
        try:
            outcome = await runner(batch)
        except Exception as error:
            outcome = error
        gathered.add(batch, outcome)
        del under_way[number]
        freed.set()

    async with anyio.create_task_group() as group:
        number = 0
        try:
            async for batch in cutter.batches():
                while not _room(work, list(under_way.values()), batch, BATCHES_AT_ONCE):
                    freed = anyio.Event()
                    await freed.wait()
                if gathered.stopped:
                    break
                under_way[number] = batch
                group.start_soon(one, number, batch)
                number += 1
        except Exception as error:
            # Of taking the items: batches under way end as they are, and their group would wrap what leaves it.
            failed = error
    work.slots = None
    if failed is not None:
        raise failed


def _room(work: Job, under_way: list[Batch], batch: Batch, at_once: int) -> bool:
    """Whether a batch may start: slots are to find the next items while the last ones of a batch end."""
    if not under_way:
        return True
    if work.concurrency is None:
        return len(under_way) < at_once
    if work.concurrency == 1:
        return False
    return sum(len(begun.items) for begun in under_way) < work.concurrency + len(batch.items)
