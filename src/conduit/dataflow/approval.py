"""A flow that waits for a person, who answers with a value of the asked type.

Waiting itself is Prefect's, behind ``prefect_approval``. Tests answer in the person's place.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, overload

import anyio
from pydantic import ValidationError

from conduit.dataflow.approval_form import Form, told
from conduit.dataflow.inside import current_flow_run_id
from conduit.errors import ApprovalUnavailable, ArgumentInvalid

T = TypeVar("T")

_DAY_S = 86_400.0


@overload
async def approve(type_: type[T], /, *, message: str = "", timeout_s: float = _DAY_S) -> T: ...
@overload
async def approve(type_: Any, /, *, message: str = "", timeout_s: float = _DAY_S) -> Any: ...
async def approve(type_: Any, /, *, message: str = "", timeout_s: float = _DAY_S) -> Any:
    """Pauses the flow run until a person has filled in a form, and gives what it holds.

    The form shows when the run is resumed in Prefect's interface; an answer that does not fit its type is refused
    there. One that Prefect cannot tell to be wrong is asked for again, with what is wrong in the message. The
    flow's process lives on while it waits.

    Args:
        type_: What is asked for: a dataclass, pydantic model or ``TypedDict``, each field of which is one of the
            form's; or any other type that JSON can hold, such as ``bool`` or a ``Literal``.
        message: Stands above the form; Markdown.
        timeout_s: How long to wait.

    Raises:
        ApprovalTimeout: Nobody answered in time; the run goes on with what the flow makes of this.
        ApprovalUnavailable: This is no flow's code, or there is no form for the type.
        FlowServerUnreachable: The Prefect server does not answer.
    """
    if not timeout_s > 0:
        raise ArgumentInvalid(f"timeout_s must be above 0, not {timeout_s!r}.", argument="timeout_s")
    form = Form.of(type_)
    if (stand_in := _current()) is not None:
        return await stand_in.answer(form, message)
    if current_flow_run_id() is None:
        raise ApprovalUnavailable(
            "There is no flow run that could wait for approval.",
            hint="Call approve() in a @flow, or answer in a person's place: with conduit.testing.approving(value).",
        )
    from conduit.dataflow import prefect_approval

    return await prefect_approval.ask(form, message, timeout_s)


@overload
def approve_sync(type_: type[T], /, *, message: str = "", timeout_s: float = _DAY_S) -> T: ...
@overload
def approve_sync(type_: Any, /, *, message: str = "", timeout_s: float = _DAY_S) -> Any: ...
def approve_sync(type_: Any, /, *, message: str = "", timeout_s: float = _DAY_S) -> Any:
    """``approve`` for flows that are no coroutines."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return anyio.run(partial(approve, type_, message=message, timeout_s=timeout_s))
    raise ApprovalUnavailable(
        "approve_sync was called in a coroutine, whose event loop it would stop.",
        hint="Write `await conduit.approve(...)`.",
    )


@dataclass(frozen=True)
class Question:
    """One call of ``approve`` that a stand-in answered.

    Attributes:
        name: Of the type that was asked for.
        message: As it would have stood above the form.
    """

    name: str
    message: str


class StandIn:
    """Answers in a person's place.

    Attributes:
        asked: The questions so far.
    """

    def __init__(self, value: Any) -> None:
        self._value = value
        self._lock = threading.Lock()
        self.asked: list[Question] = []

    async def answer(self, form: Form[T], message: str) -> T:
        """The value, checked as a person's would be.

        Raises:
            ArgumentInvalid: It does not fit the type that is asked for.
        """
        question = Question(form.name, message)
        with self._lock:
            self.asked.append(question)
        value = self._value
        if inspect.isroutine(value):
            value = value(question)
        if isinstance(value, BaseException):
            raise value
        try:
            return form.check(value)
        except ValidationError as error:
            raise ArgumentInvalid(
                f"approving() was given {value!r:.80}, which is no {form.name}: {told(error)}",
                argument="value",
            ) from error


_lock = threading.Lock()
_stand_ins: list[StandIn] = []


@contextmanager
def approving(value: Any | Callable[[Question], Any]) -> Iterator[StandIn]:
    """Answers every ``approve`` of this process with ``value`` until the block ends; the innermost one answers.

    Args:
        value: What a person would fill in, an exception to raise, or a function of the ``Question`` that gives
            either. It is validated as a person's answer is.
    """
    stand_in = StandIn(value)
    with _lock:
        _stand_ins.append(stand_in)
    try:
        yield stand_in
    finally:
        with _lock:
            _stand_ins.remove(stand_in)


def _current() -> StandIn | None:
    with _lock:
        return _stand_ins[-1] if _stand_ins else None
