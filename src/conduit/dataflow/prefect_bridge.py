"""The bridge to Prefect: a block's call in a flow becomes a task run.

Prefect gets one quoted parameter and is told a task's inputs outright: its own search for them would walk
through every value, and would not find them once a list is cut or gathered (see ``lineage``). Arguments are
validated within the task, so that a refused one shows as that task's failure.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from itertools import islice
from typing import Any
from uuid import UUID

import anyio.to_thread
import httpx
from prefect.client.schemas.objects import State, StateDetails, StateType
from prefect.futures import PrefectFuture
from prefect.utilities.annotations import quote

from conduit.dataflow import flow_runs, mapping, prefect_api, server
from conduit.dataflow.definition import Callee
from conduit.dataflow.futures import BlockFuture, handles
from conduit.dataflow.lineage import Lineage
from conduit.dataflow.mapping import Batch, Job
from conduit.dataflow.tasks import Call, task_of

# Of a map's batch, where its own items do not tell who made them: a picture with more edges shows nothing.
_MOST_EDGES = 64


class _Reference(PrefectFuture[bool]):
    """Stands for a task run that is done, whatever runner it had; waiting for it makes the edge of the graph."""

    def __init__(self, run: UUID) -> None:
        self._run = run
        # Where Prefect's own futures keep it, and its runners look for it.
        self._final_state = State(
            type=StateType.COMPLETED, state_details=StateDetails(task_run_id=run), data=True
        )

    @property
    def task_run_id(self) -> UUID:
        return self._run

    @property
    def state(self) -> State[Any]:
        assert self._final_state is not None
        return self._final_state

    def wait(self, timeout: float | None = None) -> None:
        """It is done."""

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> bool:  # noqa: ARG002 - Prefect's
        """Nothing but that it is done."""
        return True

    def add_done_callback(self, fn: Callable[[PrefectFuture[bool]], None]) -> None:
        """Calls at once."""
        fn(self)


class _PrefectHandle:
    """A Prefect future as ``BlockFuture`` wants it."""

    def __init__(self, future: PrefectFuture[Any], block: Callee, call: Call, lineage: Lineage) -> None:
        self.future = future
        self._block, self._call, self._lineage = block, call, lineage

    def result(self, timeout: float | None = None) -> Any:
        with _typed_errors(self._block, self._call):
            value = self.future.result(timeout=timeout)
        # The task may have run in another process: its result is known from here on.
        if self._call.batch is None or not self._call.batch.told:
            self._lineage.record(value, [self.future.task_run_id])
        return value

    def done(self) -> bool:
        return self.future.state.is_final()


def call(block: Callee, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Runs a synchronous block as a task and waits for it."""
    given = Call(block, args, kwargs)
    _reach_server(block)
    with _typed_errors(block, given):
        return task_of(block)(quote(given), wait_for=_upstream(args, kwargs))


async def acall(block: Callee, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Runs an asynchronous block as a task."""
    given = Call(block, args, kwargs)
    await _areach_server(block)
    with _typed_errors(block, given):
        return await task_of(block)(quote(given), wait_for=_upstream(args, kwargs))


def iterate(block: Callee, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Generator[Any, None, Any]:
    """Runs a generator block as a task that lasts as long as the iteration."""
    given = Call(block, args, kwargs)
    # Prefect's generator would leave its task's context in the consumer's: blocks called between two items would
    # look as if they ran within this one.
    context = contextvars.copy_context()
    _reach_server(block)
    with _typed_errors(block, given):
        items = task_of(block)(quote(given), wait_for=_upstream(args, kwargs))
        try:
            while True:
                try:
                    item = context.run(next, items)
                except StopIteration as end:
                    return end.value
                yield item
        finally:
            context.run(items.close)


async def aiterate(block: Callee, args: tuple[Any, ...], kwargs: dict[str, Any]) -> AsyncIterator[Any]:
    """``iterate`` for an asynchronous generator block."""
    given = Call(block, args, kwargs)
    await _areach_server(block)
    with _typed_errors(block, given):
        items = task_of(block)(quote(given), wait_for=_upstream(args, kwargs))
        async with contextlib.aclosing(items):
            try:
                async for item in items:
                    yield item
            except GeneratorExit:
                # Prefect fails a task whose asynchronous generator is closed; one that ends by itself is well.
                given.left = True
                async for _ in items:
                    pass
                raise


def submit(block: Callee, args: tuple[Any, ...], kwargs: dict[str, Any]) -> BlockFuture[Any]:
    """Gives the call to the flow's task runner."""
    given = Call(block, args, kwargs)
    _reach_server(block)
    with _typed_errors(block, given):
        future = task_of(block, whole=True).submit(quote(given), wait_for=_upstream(args, kwargs))
    return BlockFuture(_PrefectHandle(future, block, given, _lineage()))


def map(block: Callee, work: Job) -> Any:  # noqa: A001 # the bridge's names are the blocks' own
    """Maps with one task a batch, run by the flow's task runner."""
    task, lineage, upstream = task_of(block, batch=True), _lineage(), _Upstream(work)
    makers: set[UUID] = set()

    def start(batch: Batch, done: Callable[[], None]) -> Callable[[], mapping.Outcome]:
        given = Call(block, batch=batch)
        _reach_server(block)
        with _typed_errors(block, given):
            future = task.submit(quote(given), wait_for=upstream.of(batch))
        future.add_done_callback(lambda _: done())
        handle = _PrefectHandle(future, block, given, lineage)

        def wait() -> mapping.Outcome:
            try:
                values: mapping.Results = handle.result()
            except Exception as error:
                return error
            makers.add(future.task_run_id)
            return values

        return wait

    results = mapping.mapped(block, work, start)
    lineage.record(results, makers, depth=0)
    return results


async def amap(block: Callee, work: Job) -> Any:
    """Maps an asynchronous block with one task a batch, all in the flow's event loop."""
    task, lineage, upstream = task_of(block, batch=True), _lineage(), _Upstream(work)
    makers: set[UUID] = set()

    async def run(batch: Batch) -> mapping.Results:
        given = Call(block, batch=batch)
        await _areach_server(block)
        with _typed_errors(block, given):
            values: mapping.Results = await task(quote(given), wait_for=upstream.of(batch))
        makers.update(lineage.makers(values))
        return values

    results = await mapping.mapped_async(block, work, run)
    lineage.record(results, makers, depth=0)
    return results


class _Upstream:
    """Which task runs the batches of a map have their items from."""

    def __init__(self, work: Job) -> None:
        self._lineage, self._work = _lineage(), work
        self._shared = self._lineage.makers(work.same)
        self._of_all: set[UUID] | None = None

    def of(self, batch: Batch) -> list[Any]:
        """What a batch waits for: the makers of its items, or of all of them where an item tells nothing."""
        makers = self._lineage.makers(batch.items)
        if not makers:
            if self._of_all is None:
                self._of_all = set(islice(self._lineage.makers(self._work.source), _MOST_EDGES))
            makers = self._of_all
        return [_Reference(run) for run in makers | self._shared]


def _reach_server(block: Callee) -> None:
    url = prefect_api.api_url()
    if not server.known_to_answer(url):
        server.ensure(url, block.options.name)


async def _areach_server(block: Callee) -> None:
    url = prefect_api.api_url()
    if not server.known_to_answer(url):
        await anyio.to_thread.run_sync(server.ensure, url, block.options.name)


@contextlib.contextmanager
def _typed_errors(block: Callee, call: Call) -> Iterator[None]:
    """Tells a server that went away from a block whose own connection failed."""
    try:
        yield
    except httpx.TransportError as error:
        if error is call.error:
            raise
        raise server.unreachable(prefect_api.api_url(), error, block.options.name) from error


def _lineage() -> Lineage:
    return flow_runs.current().lineage


def _upstream(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    values = (*args, *kwargs.values())
    waits: list[Any] = [_Reference(run) for value in values for run in _lineage().makers(value)]
    # The block itself waits for a future and so fails with that call's own error; Prefect only draws the edge.
    submitted = [f.handle for f in handles(values) if isinstance(f.handle, _PrefectHandle)]
    return waits + [_Reference(handle.future.task_run_id) for handle in submitted]
