"""Flows as plain functions: their parameters are validated as Prefect does it, and no server is asked.

For tests. What a flow run is to a server does not exist here: no states, hooks, retries or time limits of the flow.
Blocks called in it are called plainly, with retries and limits of their own.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from prefect.client.schemas.objects import State
from prefect.flows import Flow
from prefect.logging import disable_run_logger
from prefect.states import Completed, Failed
from prefect.tasks import Task
from prefect.utilities.callables import call_with_parameters, get_call_parameters

from conduit.errors import ConduitError

_lock = threading.Lock()
_inside = 0
_originals: list[tuple[type, str, Any]] = []
_quiet = ExitStack()


@contextmanager
def plain_flows() -> Iterator[None]:
    """Has all flows of this process run plainly until the last such block ends."""
    global _inside  # noqa: PLW0603 - flows are the process's
    with _lock:
        if not _inside:
            _replace()
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                _restore()


def _replace() -> None:
    _quiet.enter_context(disable_run_logger())  # or else a run's logger could not be had outside of one
    for owner, name, plain in (
        (Flow, "__call__", _call_flow),
        (Task, "__call__", _call_task),
        (Task, "submit", _refuse("submit")),
        (Task, "map", _refuse("map")),
        (Task, "delay", _refuse("delay")),
    ):
        _originals.append((owner, name, owner.__dict__[name]))
        setattr(owner, name, plain)


def _restore() -> None:
    while _originals:
        owner, name, original = _originals.pop()
        setattr(owner, name, original)
    _quiet.close()


def _call_flow(
    self: Flow[..., Any], *args: Any, return_state: bool = False, wait_for: Any = (), **kwargs: Any
) -> Any:
    del wait_for  # there are no futures to wait for
    parameters = get_call_parameters(self.fn, args, kwargs)
    if self.should_validate_parameters:
        parameters = self.validate_parameters(parameters)
    return _called(self, parameters, return_state=return_state)


def _call_task(
    self: Task[..., Any], *args: Any, return_state: bool = False, wait_for: Any = (), **kwargs: Any
) -> Any:
    del wait_for
    return _called(self, get_call_parameters(self.fn, args, kwargs), return_state=return_state)


def _called(
    called: Flow[..., Any] | Task[..., Any], parameters: dict[str, Any], *, return_state: bool
) -> Any:
    if not return_state:
        return call_with_parameters(called.fn, parameters)
    if called.isasync:
        return _astate(called.fn, parameters)
    try:
        return _completed(call_with_parameters(called.fn, parameters))
    except Exception as error:
        return Failed(message=str(error), data=error)


async def _astate(function: Callable[..., Awaitable[Any]], parameters: dict[str, Any]) -> State[Any]:
    try:
        return _completed(await function(**parameters))
    except Exception as error:
        return Failed(message=str(error), data=error)


def _completed(value: Any) -> State[Any]:
    return value if isinstance(value, State) else Completed(data=value)


def _refuse(method: str) -> Callable[..., Any]:
    def refused(self: Task[..., Any], *_args: Any, **_kwargs: Any) -> Any:
        raise ConduitError(
            f"Prefect's task {self.name!r} was given to {method}(), which needs a Prefect server.",
            hint="Within plain_flows() call tasks, or make them blocks: a block's submit and map work everywhere.",
        )

    return refused
