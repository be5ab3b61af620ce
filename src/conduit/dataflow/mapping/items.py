"""The items of a batch, called: one after another, in the map's threads, or in an event loop.

With a ledger an item's place is free for the next one when its record is on disk. Items that run one after another
have theirs written together, at the batch's end at the latest.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager, nullcontext
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from conduit import leash
from conduit.dataflow import calls, ledger
from conduit.dataflow.definition import Callee
from conduit.dataflow.mapping import records
from conduit.dataflow.mapping.batch import Batch
from conduit.dataflow.mapping.job import ItemFailure, Job
from conduit.dataflow.mapping.outcome import Results, settled
from conduit.errors import ConduitError
from conduit.priority import batch_work

if TYPE_CHECKING:
    from conduit.dataflow.recording import Record


@dataclass
class Ended:
    """How an item ended.

    Attributes:
        result: Its value, or its failure.
        fatal: What ends the whole map, for it could not be written how the item ended.
        written: Is done when that is on disk.
    """

    result: Any = None
    fatal: Exception | None = None
    written: Future[None] | None = field(default=None, compare=False)


# Makes the row of the run log for an item's call, of its index and its arguments.
Recorder = Callable[[int, Any], "Record"]


@dataclass(frozen=True)
class _Call:
    """What the items of a batch share."""

    block: Callee
    batch: Batch
    recorder: Recorder | None

    def arguments(self, place: int) -> tuple[tuple[Any, ...], dict[str, Any], Record | None]:
        """An item's call, with its record: of the run log's in a flow, for a ledger's attempts elsewhere."""
        batch, record = self.batch, None
        args, same = (*self.block.bound, batch.items[place]), batch.job.same
        if self.recorder is not None:
            record = self.recorder(batch.indexes[place], {"args": args, **same})
        elif batch.job.book is not None:
            from conduit.dataflow.recording import Record

            record = Record(None, self.block, None)
        return args, same, record


def run_batch(block: Callee, batch: Batch, recorder: Recorder | None = None) -> Results:
    """The results of a batch of a synchronous block.

    Args:
        block: What is called.
        batch: With which items.
        recorder: See there; in a flow the bridge's.

    Raises:
        MapFailed: Items of the batch failed and the job does not collect.
        LedgerUnavailable: How they ended cannot be written down.
        NotCacheable: The same, for their values have no form that can be kept.
    """
    work = batch.job
    if (work.concurrency or 1) > 1 and not isinstance(work.slots, Executor):
        with thread_slots(work, len(batch.items)):
            return run_batch(block, batch, recorder)
    call = _Call(block, batch, recorder)
    with _book(work), batch_work():
        known = records.known(block, batch)
        places = [place for place in range(len(batch.items)) if place not in known]
        if isinstance(work.slots, Executor):
            pending = [work.slots.submit(copy_context().run, _in_slot, call, at) for at in places]
            ended = [future.result() for future in pending]
        else:
            ended = _in_turn(call, places)
    return _together(block, batch, known, places, ended)


async def run_batch_async(block: Callee, batch: Batch, recorder: Recorder | None = None) -> Results:
    """The results of a batch of an asynchronous block; see ``run_batch``."""
    work = batch.job
    slots = work.slots if isinstance(work.slots, anyio.Semaphore) else anyio.Semaphore(work.concurrency or 1)
    call, ended = _Call(block, batch, recorder), dict[int, Ended]()

    async def one(place: int) -> None:
        async with slots:
            ended[place] = await _item_async(call, place)
            await _on_disk_async(batch, ended[place])
            _tell(batch, ended[place])

    async with _book_elsewhere(work):
        known = await anyio.to_thread.run_sync(records.known, block, batch) if batch.moved else {}
        places = [place for place in range(len(batch.items)) if place not in known]
        with batch_work():
            async with anyio.create_task_group() as group:
                for place in places:
                    group.start_soon(one, place)
    return _together(block, batch, known, places, [ended[place] for place in places])


@contextmanager
def thread_slots(work: Job, items: int | None = None) -> Iterator[None]:
    """Gives the job its threads for as long as the map runs; they start as they are needed."""
    items = work.total if items is None else items
    if (work.concurrency or 1) == 1 or items == 0:
        yield
        return
    most = work.concurrency or 1
    pool = ThreadPoolExecutor(most if items is None else min(most, items), thread_name_prefix="conduit-map")
    work.slots = pool
    held = leash.Leash()
    try:
        with held.on():
            yield
    except Exception:
        raise
    except BaseException:
        held.cut()  # an interrupt: or else it would wait for the calls that run
        raise
    finally:
        work.slots = None
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _book(work: Job) -> Iterator[None]:
    """The open ledger: the map's own, or in another process one that is opened for this batch."""
    if work.ledger is None or work.book is not None:
        yield
        return
    with ledger.opened(work.ledger, helping=True) as book:
        work.book = book
        try:
            yield
        finally:
            work.book = None


@asynccontextmanager
async def _book_elsewhere(work: Job) -> AsyncIterator[None]:
    """``_book``, opened and closed in a thread."""
    if work.ledger is None or work.book is not None:
        yield
        return
    stack = ExitStack()
    await anyio.to_thread.run_sync(stack.enter_context, _book(work))
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(stack.close)


def _in_turn(call: _Call, places: list[int]) -> list[Ended]:
    batch, ended = call.batch, list[Ended]()
    for place in places:
        ended.append(_item(call, place, now=False))
        _tell(batch, ended[-1])
    if batch.job.book is not None:
        batch.job.book.hurry()
        for one in ended:
            _on_disk(batch, one)
    return ended


def _in_slot(call: _Call, place: int) -> Ended:
    ended = _item(call, place, now=True)
    _on_disk(call.batch, ended)
    _tell(call.batch, ended)
    return ended


def _item(call: _Call, place: int, *, now: bool) -> Ended:
    """Calls the block with one item, and has written how that ended."""
    leash.check()
    refused = _refused(call.batch)
    if refused is not None:
        return Ended(fatal=refused)
    args, same, record = call.arguments(place)
    try:
        with nullcontext() if record is None else record.inside():
            value = calls.full(call.block, args, same, record)
    except Exception as error:
        return _ended(call, place, record, error=error, now=now)
    return _ended(call, place, record, value=value, now=now)


async def _item_async(call: _Call, place: int) -> Ended:
    refused = _refused(call.batch)
    if refused is not None:
        return Ended(fatal=refused)
    args, same, record = call.arguments(place)
    try:
        with nullcontext() if record is None else record.inside():
            value = await calls.full_async(call.block, args, same, record)
    except Exception as error:
        return _ended(call, place, record, error=error, now=True)
    return _ended(call, place, record, value=value, now=True)


def _refused(batch: Batch) -> Exception | None:
    """Why no further item is called: what is paid for could not be kept."""
    if batch.job.book is not None and batch.job.over is None:
        try:
            batch.job.book.check()
        except ConduitError as error:
            batch.job.over = error
    return batch.job.over


def _ended(
    call: _Call,
    place: int,
    record: Record | None,
    *,
    value: Any = None,
    error: Exception | None = None,
    now: bool,
) -> Ended:
    batch = call.batch
    if record is not None and error is None:
        record.returned(value)
    elif record is not None and error is not None:
        record.raised(error)
    ended = Ended(value if error is None else ItemFailure(batch.indexes[place], error))
    if batch.job.book is None:
        return ended
    attempts = 1 if record is None else max(1, record.attempts)
    try:
        row = records.row(call.block, batch, place, attempts, value=value, error=error)
        ended.written = batch.job.book.add(row, now=now)
    except ConduitError as failed:
        ended.fatal = batch.job.over = failed
    if batch.job.stored and error is None:
        ended.result = None
    return ended


def _on_disk(batch: Batch, ended: Ended) -> None:
    if ended.written is not None:
        try:
            ended.written.result()
        except ConduitError as error:
            ended.fatal = batch.job.over = error


async def _on_disk_async(batch: Batch, ended: Ended) -> None:
    if ended.written is not None:
        try:
            await asyncio.wrap_future(ended.written)
        except ConduitError as error:
            ended.fatal = batch.job.over = error


def _tell(batch: Batch, ended: Ended) -> None:
    if batch.job.progress is not None and ended.fatal is None:
        batch.told = True
        failed = isinstance(ended.result, ItemFailure)
        batch.job.progress.advanced(int(not failed), int(failed))


def _together(
    block: Callee, batch: Batch, known: dict[int, Any], places: list[int], ended: list[Ended]
) -> Results:
    for one in ended:
        if one.fatal is not None:
            raise one.fatal
    results = dict(zip(places, (one.result for one in ended), strict=True)) | known
    return settled(block, batch, [results[place] for place in sorted(results)])
