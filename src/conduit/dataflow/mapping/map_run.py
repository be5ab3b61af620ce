"""One map from its start to its end, outside a flow or in one: its ledger open, its progress shown."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager
from contextvars import copy_context
from functools import partial
from typing import Any

import anyio
import anyio.to_thread

from conduit.dataflow import ledger, progress
from conduit.dataflow.definition import Callee
from conduit.dataflow.mapping.batch import Batch
from conduit.dataflow.mapping.cutting import Cutter
from conduit.dataflow.mapping.gathering import Gathered
from conduit.dataflow.mapping.items import run_batch, run_batch_async, thread_slots
from conduit.dataflow.mapping.job import Job
from conduit.dataflow.mapping.outcome import Outcome, Results
from conduit.dataflow.mapping.windows import BATCHES_AT_ONCE, Start, in_windows, in_windows_async


def run(block: Callee, work: Job) -> Any:
    """Runs the map of a synchronous block outside a flow.

    Raises:
        MapFailed: Items failed and the job does not collect.
    """
    if (work.concurrency or 1) == 1:
        return mapped(block, work, partial(_here, block), at_once=1)
    with ThreadPoolExecutor(work.concurrency, thread_name_prefix="conduit-batch") as pool:

        def start(batch: Batch, done: Callable[[], None]) -> Callable[[], Outcome]:
            future = pool.submit(copy_context().run, _outcome, block, batch)
            future.add_done_callback(lambda _: done())
            return future.result

        return mapped(block, work, start)


async def run_async(block: Callee, work: Job) -> Any:
    """Runs the map of an asynchronous block outside a flow."""
    return await mapped_async(block, work, partial(run_batch_async, block))


def mapped(block: Callee, work: Job, start: Start, at_once: int = BATCHES_AT_ONCE) -> Any:
    """The results of all batches, each started as the caller wants it.

    Raises:
        MapFailed: Items failed and the job does not collect.
    """
    gathered = Gathered(block, work)
    with _watched(block, work), ExitStack() as stack:
        _open(work, stack)
        stack.callback(_close, work)
        with thread_slots(work):
            in_windows(work, Cutter(block, work, gathered.known), gathered, start, at_once)
    return gathered.results()


async def mapped_async(block: Callee, work: Job, runner: Callable[[Batch], Awaitable[Results]]) -> Any:
    """``mapped`` with all batches in this event loop."""
    gathered = Gathered(block, work)
    with _watched(block, work):
        async with _opened_elsewhere(work):
            await in_windows_async(work, Cutter(block, work, gathered.known), gathered, runner)
    return gathered.results()


@contextmanager
def _watched(block: Callee, work: Job) -> Iterator[None]:
    work.progress = progress.of_map()
    with work.progress.lasting(block.options.name, work.total):
        yield


def _open(work: Job, stack: ExitStack) -> None:
    if work.ledger is not None:
        work.book = stack.enter_context(ledger.opened(work.ledger))


def _close(work: Job) -> None:
    work.book = None


@asynccontextmanager
async def _opened_elsewhere(work: Job) -> AsyncIterator[None]:
    """Opens and closes the ledger in a thread, for both wait for a disk."""
    if work.ledger is None:
        yield
        return
    stack = ExitStack()
    await anyio.to_thread.run_sync(_open, work, stack)
    try:
        yield
    finally:
        work.book = None
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(stack.close)


def _here(block: Callee, batch: Batch, done: Callable[[], None]) -> Callable[[], Outcome]:
    ended = _outcome(block, batch)
    done()
    return lambda: ended


def _outcome(block: Callee, batch: Batch) -> Outcome:
    try:
        return run_batch(block, batch)
    except Exception as error:
        return error
