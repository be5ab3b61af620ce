"""The bridge to Prefect: a block's call in a flow becomes a task run.

Prefect gets one quoted parameter and is told a task's inputs outright: its own search for them would walk
through every value, and would not find them once a list is cut or gathered (see ``lineage``). Arguments are
validated within the task, so that a refused one shows as that task's failure.
"""

from __future__ import annotations

import contextlib
import contextvars
import weakref
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

import anyio.to_thread
import httpx
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, StateDetails, StateType
from prefect.context import FlowRunContext, TaskRunContext
from prefect.futures import PrefectFuture
from prefect.tasks import Task
from prefect.utilities.annotations import quote

from conduit.dataflow import calls, mapping, prefect_api, server
from conduit.dataflow.contract import Kind
from conduit.dataflow.definition import Callee
from conduit.dataflow.futures import BlockFuture, handles
from conduit.dataflow.inside import task_body
from conduit.dataflow.limits import worth_a_retry
from conduit.dataflow.lineage import Lineage
from conduit.dataflow.mapping import Batch, Job
from conduit.mdl import Partial

TAG = "conduit"

# Of the flow runs of this process. Prefect tells nobody that a flow has ended and keeps its context for a while, so
# what a run leaves here goes when the next one starts, or with the context.
_lineages: dict[UUID, tuple[Lineage, weakref.ref[FlowRunContext]]] = {}


@dataclass
class _Call:
    """A task's one parameter: the block's arguments, or a batch of a map.

    ``error`` is what the block raised; ``left`` says that nobody wants further items of it.
    """

    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    batch: Batch | None = None
    error: BaseException | None = field(default=None, compare=False)
    left: bool = False

    def __getstate__(self) -> dict[str, Any]:
        # On its way to another process, where nobody could wait for a future of this one.
        args, kwargs = calls.given(self.args, self.kwargs)
        return {"args": args, "kwargs": kwargs, "batch": self.batch, "error": None, "left": False}


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

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> bool:  # noqa: ARG002
        """Nothing but that it is done."""
        return True

    def add_done_callback(self, fn: Callable[[PrefectFuture[bool]], None]) -> None:
        """Calls at once."""
        fn(self)


class _PrefectHandle:
    """A Prefect future as ``BlockFuture`` wants it."""

    def __init__(self, future: PrefectFuture[Any], block: Callee, call: _Call, lineage: Lineage) -> None:
        self.future = future
        self._block, self._call, self._lineage = block, call, lineage

    def result(self, timeout: float | None = None) -> Any:
        with _typed_errors(self._block, self._call):
            value = self.future.result(timeout=timeout)
        # The task may have run in another process: its result is known from here on.
        self._lineage.record(value, [self.future.task_run_id])
        return value

    def done(self) -> bool:
        return self.future.state.is_final()


def call(block: Callee, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Runs a synchronous block as a task and waits for it."""
    given = _Call(args, kwargs)
    _reach_server(block)
    with _typed_errors(block, given):
        return _task(block)(quote(given), wait_for=_upstream(args, kwargs))


async def acall(block: Callee, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Runs an asynchronous block as a task."""
    given = _Call(args, kwargs)
    await _areach_server(block)
    with _typed_errors(block, given):
        return await _task(block)(quote(given), wait_for=_upstream(args, kwargs))


def iterate(block: Callee, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Generator[Any, None, Any]:
    """Runs a generator block as a task that lasts as long as the iteration."""
    given = _Call(args, kwargs)
    # Prefect's generator would leave its task's context in the consumer's: blocks called between two items would
    # look as if they ran within this one.
    context = contextvars.copy_context()
    _reach_server(block)
    with _typed_errors(block, given):
        items = _task(block)(quote(given), wait_for=_upstream(args, kwargs))
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
    given = _Call(args, kwargs)
    await _areach_server(block)
    with _typed_errors(block, given):
        items = _task(block)(quote(given), wait_for=_upstream(args, kwargs))
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
    given = _Call(args, kwargs)
    _reach_server(block)
    with _typed_errors(block, given):
        future = _task(block, whole=True).submit(quote(given), wait_for=_upstream(args, kwargs))
    return BlockFuture(_PrefectHandle(future, block, given, _lineage()))


def map(block: Callee, work: Job) -> list[Any]:  # noqa: A001 # the bridge's names are the blocks' own
    """Maps with one task a batch, run by the flow's task runner."""
    task, lineage = _task(block, batch=True), _lineage()
    makers: set[UUID] = set()
    shared = lineage.makers(work.same)

    def start(batch: Batch, done: Callable[[], None]) -> Callable[[], mapping.Outcome]:
        given = _Call(batch=batch)
        upstream = lineage.makers(batch.items) or lineage.makers(work.items)
        _reach_server(block)
        with _typed_errors(block, given):
            future = task.submit(quote(given), wait_for=[_Reference(run) for run in upstream | shared])
        future.add_done_callback(lambda _: done())
        handle = _PrefectHandle(future, block, given, lineage)

        def wait() -> mapping.Outcome:
            try:
                values: list[Any] = handle.result()
            except Exception as error:
                return error
            makers.add(future.task_run_id)
            return values

        return wait

    with mapping.thread_slots(work):
        outcomes = mapping.in_windows(work, work.batches_at_once, start)
    results = mapping.gathered(block, work, outcomes)
    lineage.record(results, makers, depth=0)
    return results


async def amap(block: Callee, work: Job) -> list[Any]:
    """Maps an asynchronous block with one task a batch, all in the flow's event loop."""
    task, lineage = _task(block, batch=True), _lineage()
    makers: set[UUID] = set()
    shared = lineage.makers(work.same)

    async def run(_: Callee, batch: Batch) -> list[Any]:
        given = _Call(batch=batch)
        upstream = lineage.makers(batch.items) or lineage.makers(work.items)
        await _areach_server(block)
        with _typed_errors(block, given):
            values: list[Any] = await task(quote(given), wait_for=[_Reference(r) for r in upstream | shared])
        makers.update(lineage.makers(values))
        return values

    outcomes = await mapping.in_windows_async(block, work, run)
    results = mapping.gathered(block, work, outcomes)
    lineage.record(results, makers, depth=0)
    return results


def _task(block: Callee, *, batch: bool = False, whole: bool = False) -> Task[Any, Any]:
    """A Prefect task that runs the block: lazily where it yields, unless the whole run is asked for."""
    kind = block.definition.kind
    if kind in (Kind.ASYNC, Kind.ASYNC_GENERATOR):
        body = _async_body if batch or whole or kind is Kind.ASYNC else _async_items
    else:
        body = _body if batch or whole or kind is Kind.SYNC else _items
    options = block.options
    function = body(block)
    function.__name__, function.__qualname__ = options.name, _qualified_name(block)
    function.__module__, function.__doc__ = block.definition.function.__module__, options.description
    # Items of a batch are retried one by one, so that a batch never pays twice for the rest.
    retries = 0 if batch else options.retries
    delays = options.retry_delay_s
    return Task(
        function,
        name=options.name,
        description=options.description,
        tags=[TAG, *options.tags],
        retries=retries,
        retry_delay_seconds=list(delays) if isinstance(delays, tuple) else delays,
        retry_condition_fn=_retry if retries else None,
        # A hit in Prefect's cache costs more than most blocks, and hashing the arguments is paid by every miss.
        cache_policy=NO_CACHE,
        task_run_name=cast(Any, _batch_name) if batch else None,
        log_prints=None,
    )


def _qualified_name(block: Callee) -> str:
    return getattr(block.definition.function, "__qualname__", block.definition.name)


def _batch_name(parameters: dict[str, Any]) -> str:
    task = TaskRunContext.get()
    label: str = parameters["call"].batch.label
    return (task.task.name if task else "map") + label


def _retry(_task: Task[Any, Any], _run: Any, state: State[Any]) -> bool:
    return not isinstance(state.data, BaseException) or worth_a_retry(state.data)


def _body(block: Callee) -> Callable[..., Any]:
    def run(call: _Call) -> Any:
        with _recorded(call):
            if call.batch is not None:
                value = mapping.run_batch(block, call.batch)
            else:
                value = calls.once(block, call.args, call.kwargs)
            _made(value)
            return value

    return run


def _async_body(block: Callee) -> Callable[..., Any]:
    async def run(call: _Call) -> Any:
        with _recorded(call):
            if call.batch is not None:
                value = await mapping.run_batch_async(block, call.batch)
            else:
                value = await calls.once_async(block, call.args, call.kwargs)
            _made(value)
            return value

    return run


def _items(block: Callee) -> Callable[..., Any]:
    def run(call: _Call) -> Generator[Any, None, Any]:
        with _recorded(call):
            items = block.definition.invoke(*calls.given(call.args, call.kwargs))
        while True:
            # Marked for the block's own steps only: between them the consumer's code runs in this context.
            with _recorded(call):
                try:
                    item = next(items)
                except StopIteration as end:
                    return end.value
                _made(item)
            try:
                yield item
            except BaseException:
                items.close()
                raise

    return run


def _async_items(block: Callee) -> Callable[..., Any]:
    async def run(call: _Call) -> AsyncIterator[Any]:
        with _recorded(call):
            items = block.definition.invoke(*await calls.given_async(call.args, call.kwargs))
        async with contextlib.aclosing(items):
            while True:
                with _recorded(call):
                    try:
                        item = await anext(items)
                    except StopAsyncIteration:
                        return
                    _made(item)
                yield item
                if call.left:
                    return

    return run


@contextlib.contextmanager
def _recorded(call: _Call) -> Iterator[None]:
    flow = FlowRunContext.get()
    with task_body(flow.flow_run.id if flow and flow.flow_run else None):
        try:
            yield
        except BaseException as error:
            call.error = error
            raise


def _reach_server(block: Callee) -> None:
    url = prefect_api.api_url()
    if not server.known_to_answer(url):
        server.ensure(url, block.options.name)


async def _areach_server(block: Callee) -> None:
    url = prefect_api.api_url()
    if not server.known_to_answer(url):
        await anyio.to_thread.run_sync(server.ensure, url, block.options.name)


@contextlib.contextmanager
def _typed_errors(block: Callee, call: _Call) -> Iterator[None]:
    """Tells a server that went away from a block whose own connection failed."""
    try:
        yield
    except httpx.TransportError as error:
        if error is call.error:
            raise
        raise server.unreachable(prefect_api.api_url(), error, block.options.name) from error


def _lineage() -> Lineage:
    flow = FlowRunContext.get()
    assert flow is not None
    assert flow.flow_run is not None
    run = flow.flow_run.id
    known = _lineages.get(run)
    if known is None:
        for other, (_, context) in list(_lineages.items()):
            if _over(context()):
                _lineages.pop(other, None)
        # Two threads of a flow may be first at the same time: setdefault lets one of them win.
        known = _lineages.setdefault(run, (Lineage(), weakref.ref(flow)))
    return known[0]


def _over(flow: FlowRunContext | None) -> bool:
    if flow is None or flow.flow_run is None or flow.flow_run.state is None:
        return True
    return flow.flow_run.state.is_final()


def _made(value: Any) -> None:
    task = TaskRunContext.get()
    # A partial value is nothing that another task would take; to look into each would cost what it has grown to.
    if task is not None and not isinstance(value, Partial) and FlowRunContext.get() is not None:
        _lineage().record(value, [task.task_run.id])


def _upstream(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    values = (*args, *kwargs.values())
    waits: list[Any] = [_Reference(run) for value in values for run in _lineage().makers(value)]
    # The block itself waits for a future and so fails with that call's own error; Prefect only draws the edge.
    submitted = [f.handle for f in handles(values) if isinstance(f.handle, _PrefectHandle)]
    return waits + [_Reference(handle.future.task_run_id) for handle in submitted]
