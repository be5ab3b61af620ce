"""Blocks as Prefect's tasks: what a task is given, what it runs, and the row of the run log that it leaves.

Every task runs one of four bodies here; its one parameter says for which block.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any, cast
from uuid import uuid4
from weakref import WeakKeyDictionary

from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext, TaskRunContext
from prefect.tasks import Task

from conduit.dataflow import calls, flow_runs, mapping, prefect_travel, transactions
from conduit.dataflow.contract import Kind
from conduit.dataflow.definition import Callee, Definition
from conduit.dataflow.inside import task_body
from conduit.dataflow.limits import worth_a_retry
from conduit.dataflow.mapping import Batch
from conduit.dataflow.options import Options
from conduit.dataflow.recording import Record
from conduit.mdl import Partial

# A worker in another process sends results, and makes no task.
prefect_travel.take_along(())


@dataclass
class Call:
    """A task's one parameter: the block's arguments, or a batch of a map.

    ``error`` is what the block raised; ``left`` says that nobody wants further items of it, ``within``
    that it was called in a transaction.
    """

    block: Callee
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    batch: Batch | None = None
    error: BaseException | None = field(default=None, compare=False)
    left: bool = False
    within: bool = field(default_factory=transactions.is_open)

    def __getstate__(self) -> dict[str, Any]:
        # On its way to another process, where nobody could wait for a future of this one.
        args, kwargs = calls.given(self.args, self.kwargs)
        return {**vars(self), "args": args, "kwargs": kwargs, "error": None, "left": False}


def task_of(block: Callee, *, batch: bool = False, whole: bool = False) -> Task[Any, Any]:
    """A Prefect task that runs the block: lazily where it yields, unless the whole run is asked for."""
    # To make one costs more than to run it. One made here knows no block, so that it keeps none alive.
    made = _tasks.setdefault(block.definition, {})
    if not made:
        prefect_travel.take_along(block.kinds)
    key = (block.options, batch, whole)
    if key not in made:
        made[key] = _new_task(block, batch=batch, whole=whole)
    return made[key]


_tasks: WeakKeyDictionary[Definition, dict[Any, Task[Any, Any]]] = WeakKeyDictionary()


def _new_task(block: Callee, *, batch: bool, whole: bool) -> Task[Any, Any]:
    kind = block.definition.kind
    body: Callable[[Call], Any]
    if kind in (Kind.ASYNC, Kind.ASYNC_GENERATOR):
        body = _async_body if batch or whole or kind is Kind.ASYNC else _async_items
    else:
        body = _body if batch or whole or kind is Kind.SYNC else _items
    options = block.options
    # Prefect tells tasks apart by these names.
    function = FunctionType(body.__code__, body.__globals__, options.name)
    function.__qualname__, function.__module__ = _qualified_name(block), block.definition.function.__module__
    function.__doc__ = options.description
    # Items of a batch are retried one by one, so that a batch never pays twice for the rest.
    retries = 0 if batch else options.retries
    delays = options.retry_delay_s
    return Task(
        function,
        name=options.name,
        description=options.description,
        # Each task run with a tag asks the server for its limit, which takes as long as all the rest.
        tags=options.tags or None,
        retries=retries,
        retry_delay_seconds=list(delays) if isinstance(delays, tuple) else delays,
        retry_condition_fn=_retry_as(options) if retries else None,
        # A hit in Prefect's cache costs more than most blocks, and hashing the arguments is paid by every miss.
        cache_policy=NO_CACHE,
        task_run_name=cast(Any, _batch_name) if batch else None,
        log_prints=None,
    )


def _qualified_name(block: Callee) -> str:
    return getattr(block.definition.function, "__qualname__", block.definition.name)


def _batch_name(parameters: dict[str, Any]) -> str:
    task = TaskRunContext.get()
    batch = _unquoted(parameters["call"]).batch
    return (task.task.name if task else "map") + (batch.label if batch else "")


def _retry_as(options: Options) -> Callable[[Task[Any, Any], Any, State[Any]], bool]:
    # A plain function, for Prefect calls nothing else.
    def retry(_task: Task[Any, Any], _run: Any, state: State[Any]) -> bool:
        if transactions.is_open():  # the block has had its attempts
            return False
        return not isinstance(state.data, BaseException) or worth_a_retry(state.data, options)

    return retry


def _unquoted(call: Any) -> Call:
    # Prefect's quote is a tuple, which Dask takes apart and puts within another on its way to another process.
    while isinstance(call, tuple):
        call = call[0]
    found: Call = call
    return found


def _body(call: Call) -> Any:
    call = _unquoted(call)
    # A failed attempt of Prefect's undoes the transaction around the task, so there they are this task's own.
    attempt = calls.full if call.within else calls.once
    with _in_task(call):
        if call.batch is not None:
            value = mapping.run_batch(call.block, call.batch, _recorder(call.block, call.batch))
        else:
            with _recorded(call) as record:
                value = attempt(call.block, call.args, call.kwargs, record)
                record.returned(value)
        _made(value)
        return value


async def _async_body(call: Call) -> Any:
    call = _unquoted(call)
    attempt = calls.full_async if call.within else calls.once_async
    with _in_task(call):
        if call.batch is not None:
            value = await mapping.run_batch_async(call.block, call.batch, _recorder(call.block, call.batch))
        else:
            with _recorded(call) as record:
                value = await attempt(call.block, call.args, call.kwargs, record)
                record.returned(value)
        _made(value)
        return value


def _items(call: Call) -> Generator[Any, None, Any]:
    record = _record(call)
    record.attempts += 1
    with _in_task(call), _recorded(call, record):
        items = call.block.definition.invoke(*calls.given(call.args, call.kwargs))
    while True:
        # Marked for the block's own steps only: between them the consumer's code runs in this context.
        with _in_task(call), _recorded(call, record):
            try:
                item = next(items)
            except StopIteration as end:
                record.returned(end.value)
                return end.value
            _made(item)
        try:
            yield item
        except BaseException:
            items.close()
            record.returned(None)
            raise


async def _async_items(call: Call) -> AsyncIterator[Any]:
    record = _record(call)
    record.attempts += 1
    with _in_task(call), _recorded(call, record):
        items = call.block.definition.invoke(*await calls.given_async(call.args, call.kwargs))
    async with contextlib.aclosing(items):
        while True:
            with _in_task(call), _recorded(call, record):
                try:
                    item = await anext(items)
                except StopAsyncIteration:
                    record.returned(None)
                    return
                _made(item)
            yield item
            if call.left:
                record.returned(None)
                return


@contextlib.contextmanager
def _in_task(call: Call) -> Iterator[None]:
    flow = FlowRunContext.get()
    run = flow.flow_run if flow else None
    with (
        task_body(run.id if run else None),
        transactions.carried(call.within),
        flow_runs.current().leash.on() if run else contextlib.nullcontext(),
    ):
        try:
            yield
        except BaseException as error:
            call.error = error
            raise


@contextlib.contextmanager
def _recorded(call: Call, record: Record | None = None) -> Iterator[Record]:
    """Writes the call's row when it fails and is not tried again; that it returned is for the caller to say."""
    record = record or _record(call)
    try:
        with record.inside():
            yield record
    except BaseException as error:
        if record.attempts > call.block.options.retries or not worth_a_retry(error, call.block.options):
            record.raised(error)
        raise


def _record(call: Call) -> Record:
    task = TaskRunContext.get()
    inputs = {"args": call.args, **call.kwargs}
    if task is None or FlowRunContext.get() is None:
        return Record(None, call.block, inputs)
    run = task.task_run
    return Record(
        flow_runs.current().log,
        call.block,
        inputs,
        task_run_id=str(run.id),
        # Each retry is a call of the task's body; the row is of all of them.
        started_at=run.start_time.timestamp() if run.start_time else None,
        attempts=run.run_count - 1,
    )


def _recorder(block: Callee, batch: Batch) -> mapping.Recorder:
    """Makes the records of a batch's items."""
    task = TaskRunContext.get()
    in_flow = task is not None and FlowRunContext.get() is not None
    log = flow_runs.current().log if in_flow else None
    task_run_id = str(task.task_run.id) if task is not None else None

    # One draw for all: to ask the system for so many random bits costs more than the rest of a row.
    drawn = uuid4().hex[:24]

    def record(index: int, inputs: Any) -> Record:
        call_id = f"{drawn}{index:08x}"
        return Record(
            log, block, inputs, call_id=call_id, task_run_id=task_run_id, map_id=batch.job.id, item=index
        )

    return record


def _made(value: Any) -> None:
    task = TaskRunContext.get()
    # A partial value is nothing that another task would take; to look into each would cost what it has grown to.
    if task is not None and not isinstance(value, Partial) and FlowRunContext.get() is not None:
        flow_runs.current().lineage.record(value, [task.task_run.id])
