"""``map``: many items through one block, in batches, with the results in the items' order.

This module cuts the items, runs the items of a batch and puts the results together. Outside a flow it also runs
the batches; in a flow the bridge makes a task of each. What the items ask of a model is batch work: interactive
calls go first.
"""

from __future__ import annotations

import inspect
import logging
import math
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import Any, Literal

import anyio

from conduit.dataflow import calls, futures
from conduit.dataflow.contract import Kind
from conduit.dataflow.definition import Callee
from conduit.errors import BlockDefinitionError, BlockInputError, MapFailed
from conduit.priority import batch_work

logger = logging.getLogger(__name__)

# The results of a batch, or what ended it.
Outcome = list[Any] | Exception
# Starts a batch, has it say when it is done, and gives what waits for its outcome.
Start = Callable[["Batch", Callable[[], None]], Callable[[], Outcome]]

BATCH = 64
_ASYNC_CONCURRENCY = 64
_BATCHES_AT_ONCE = min(32, (os.cpu_count() or 1) + 4)


@dataclass(frozen=True)
class ItemFailure:
    """Stands in a map's results for an item that failed.

    Attributes:
        index: The item's place in the map.
        error: What its call raised.
    """

    index: int
    error: Exception


@dataclass
class Job:
    """One map over one block.

    Attributes:
        items: The first arguments.
        same: Further arguments, the same for all items.
        batch: Items a batch.
        concurrency: Items at the same time over all batches; ``None``: one after another within a batch.
        collect: Whether failures stand among the results instead of ending the map.
        slots: What runs the items of all batches; set while the map runs, never sent to another process.
    """

    items: list[Any]
    same: dict[str, Any]
    batch: int
    concurrency: int | None
    collect: bool
    slots: Executor | anyio.Semaphore | None = field(default=None, compare=False)

    @property
    def starts(self) -> range:
        """Index of the first item of each batch."""
        return range(0, len(self.items), self.batch)

    @property
    def batches_at_once(self) -> int:
        """Enough batches to keep all slots busy while the last items of one end."""
        if self.concurrency is None:
            return _BATCHES_AT_ONCE
        return 1 if self.concurrency == 1 else math.ceil(self.concurrency / self.batch) + 1


@dataclass(frozen=True)
class Batch:
    """Some items of a map in a row, the first of which has index ``start``."""

    job: Job
    start: int

    @property
    def items(self) -> list[Any]:
        """The batch's own items."""
        return self.job.items[self.start : self.start + self.job.batch]

    @property
    def label(self) -> str:
        """The batch's place in the map, as a slice."""
        return f"[{self.start}:{self.start + len(self.items)}]"

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process gets this batch's items only, padded to keep their indexes, and makes slots of its own.
        own = Job(self.items, self.job.same, self.job.batch, self.job.concurrency, self.job.collect)
        return _moved, (own, self.start)


def _moved(job: Job, start: int) -> Batch:
    job.items[:0] = [None] * start
    return Batch(job, start)


def job(
    block: Callee,
    items: Iterable[Any],
    same: dict[str, Any],
    batch: int,
    concurrency: int | None,
    errors: Literal["raise", "collect"],
) -> Job:
    """Checks a map's arguments.

    Raises:
        BlockInputError: One of them makes no sense.
        BlockDefinitionError: The block has no parameter for an item.
    """
    name = block.options.name
    parameters = list(block.definition.contract.signature.parameters.values())[len(block.bound) :]
    if not parameters or parameters[0].kind in (
        inspect.Parameter.KEYWORD_ONLY,
        inspect.Parameter.VAR_KEYWORD,
    ):
        raise BlockDefinitionError(
            f"Block {name!r} cannot map: it has no positional parameter for an item.",
            hint="map gives each item as the first argument.",
            block=name,
        )
    for option, value in {"batch": batch, "concurrency": 1 if concurrency is None else concurrency}.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise _refused(name, option, value, "a whole number from 1")
    if errors not in ("raise", "collect"):
        raise _refused(name, "errors", errors, '"raise" or "collect"')
    items = futures.resolved((items,), {})[0][0]
    if isinstance(items, str | bytes) or not isinstance(items, Iterable):
        raise _refused(name, "items", items, "several items, as a list")
    if concurrency is None:
        concurrency = block.definition.parallelism
        if concurrency is None and block.definition.kind in (Kind.ASYNC, Kind.ASYNC_GENERATOR):
            concurrency = _ASYNC_CONCURRENCY
    return Job(list(items), same, batch, concurrency, errors == "collect")


def _refused(name: str, option: str, value: object, expected: str) -> BlockInputError:
    return BlockInputError(
        f"{name}.map got {option}={value!r:.80}.",
        hint=f"{option} takes {expected}.",
        block=name,
        parameter=option,
    )


def run(block: Callee, work: Job) -> list[Any]:
    """Runs the map of a synchronous block outside a flow.

    Raises:
        MapFailed: Items failed and the job does not collect.
    """
    with thread_slots(work):
        if work.slots is None:
            return gathered(block, work, in_windows(work, 1, partial(_ended, block)))
        at_once = min(work.batches_at_once, len(work.starts))
        with ThreadPoolExecutor(at_once, thread_name_prefix="conduit-batch") as pool:

            def start(batch: Batch, done: Callable[[], None]) -> Callable[[], Outcome]:
                future = pool.submit(copy_context().run, _outcome, block, batch)
                future.add_done_callback(lambda _: done())
                return future.result

            return gathered(block, work, in_windows(work, at_once, start))


async def run_async(block: Callee, work: Job) -> list[Any]:
    """Runs the map of an asynchronous block outside a flow."""
    return gathered(block, work, await in_windows_async(block, work, run_batch_async))


@contextmanager
def thread_slots(work: Job) -> Iterator[None]:
    """Gives the job its threads for as long as the map runs; they start as they are needed."""
    if (work.concurrency or 1) == 1 or not work.items:
        yield
        return
    pool = ThreadPoolExecutor(min(work.concurrency or 1, len(work.items)), thread_name_prefix="conduit-map")
    work.slots = pool
    try:
        yield
    finally:
        work.slots = None
        pool.shutdown(wait=True, cancel_futures=True)


def in_windows(work: Job, at_once: int, start: Start) -> list[Outcome]:
    """Starts all batches, not too many at once; none is started after one has failed."""
    # Told by whichever batch ends first: waiting for the oldest would leave slots idle behind a slow one.
    done: SimpleQueue[int] = SimpleQueue()
    waits: dict[int, Callable[[], Outcome]] = {}
    ended: dict[int, Outcome] = {}
    for first in work.starts:
        if len(waits) - len(ended) == at_once:
            last = done.get()
            ended[last] = waits[last]()
            if isinstance(ended[last], Exception):
                break
        waits[first] = start(Batch(work, first), partial(done.put, first))
    return [ended[first] if first in ended else wait() for first, wait in waits.items()]


async def in_windows_async(
    block: Callee, work: Job, runner: Callable[[Callee, Batch], Awaitable[list[Any]]]
) -> list[Outcome]:
    """``in_windows`` with all batches in this event loop."""
    work.slots = anyio.Semaphore(work.concurrency or 1)
    window = anyio.Semaphore(work.batches_at_once)
    ended: dict[int, Outcome] = {}
    failed = False

    async def one(start: int) -> None:
        nonlocal failed
        async with window:
            if failed:
                return
            try:
                ended[start] = await runner(block, Batch(work, start))
            except Exception as error:
                failed = True
                ended[start] = error

    async with anyio.create_task_group() as group:
        for start in work.starts:
            group.start_soon(one, start)
    return [ended[start] for start in sorted(ended)]


def _outcome(block: Callee, batch: Batch) -> Outcome:
    try:
        return run_batch(block, batch)
    except Exception as error:
        return error


def _ended(block: Callee, batch: Batch, done: Callable[[], None]) -> Callable[[], Outcome]:
    ended = _outcome(block, batch)
    done()
    return lambda: ended


def run_batch(block: Callee, batch: Batch) -> list[Any]:
    """The results of a batch of a synchronous block.

    Raises:
        MapFailed: Items of the batch failed and the job does not collect.
    """
    slots = batch.job.slots
    if isinstance(slots, Executor):
        with batch_work():
            pending = [slots.submit(copy_context().run, _item, block, batch, i, x) for i, x in _of(batch)]
        return _settled(block, batch, [future.result() for future in pending])
    if (batch.job.concurrency or 1) > 1:
        with thread_slots(batch.job):
            return run_batch(block, batch)
    with batch_work():
        return _settled(block, batch, [_item(block, batch, i, x) for i, x in _of(batch)])


async def run_batch_async(block: Callee, batch: Batch) -> list[Any]:
    """The results of a batch of an asynchronous block; see ``run_batch``."""
    slots = batch.job.slots
    if not isinstance(slots, anyio.Semaphore):
        slots = anyio.Semaphore(batch.job.concurrency or 1)
    results: dict[int, Any] = {}

    async def one(index: int, item: Any) -> None:
        async with slots:
            try:
                results[index] = await calls.full_async(block, (*block.bound, item), batch.job.same)
            except Exception as error:
                results[index] = ItemFailure(index, error)

    async with anyio.create_task_group() as group:
        with batch_work():
            for index, item in _of(batch):
                group.start_soon(one, index, item)
    return _settled(block, batch, [results[index] for index in sorted(results)])


def _of(batch: Batch) -> Iterator[tuple[int, Any]]:
    return enumerate(batch.items, batch.start)


def _item(block: Callee, batch: Batch, index: int, item: Any) -> Any:
    try:
        return calls.full(block, (*block.bound, item), batch.job.same)
    except Exception as error:
        return ItemFailure(index, error)


def _settled(block: Callee, batch: Batch, results: list[Any]) -> list[Any]:
    failures = {f.index: f.error for f in results if isinstance(f, ItemFailure)}
    if not failures:
        return results
    if batch.job.collect:
        logger.warning(
            "%s%s: %d of %d items failed", block.options.name, batch.label, len(failures), len(results)
        )
        return results
    raise _map_failed(block.options.name, failures, len(results), 0)


def gathered(block: Callee, work: Job, outcomes: Iterable[Outcome]) -> list[Any]:
    """Puts the batches together, in order; ends the map at what a batch raised.

    Raises:
        MapFailed: With the failed items of all batches that ran.
    """
    results: list[Any] = []
    failures: dict[int, Exception] = {}
    ran = 0
    for ended in outcomes:
        if isinstance(ended, MapFailed):
            failures.update(ended.failures)
            ran += ended.total
        elif isinstance(ended, Exception):
            raise ended
        else:
            results += ended
            ran += len(ended)
    if failures:
        raise _map_failed(block.options.name, failures, len(work.items), len(work.items) - ran)
    return results


def _map_failed(name: str, failures: dict[int, Exception], total: int, unrun: int) -> MapFailed:
    index, error = min(failures.items())
    not_run = f"; {unrun} were not started" if unrun else ""
    failed = MapFailed(
        f"{len(failures)} of {total} items of {name}.map failed{not_run}; the first, item {index}, with "
        f"{type(error).__name__}: {getattr(error, 'message', error)}",
        hint='errors="collect" keeps the other results and puts an ItemFailure in the place of each failed item.',
        block=name,
        failures=dict(sorted(failures.items())),
        total=total,
    )
    failed.__cause__ = error
    return failed
