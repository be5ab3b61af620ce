"""Answering in place of a model, and listening to one.

While a substitute is in force, no ``LMLite`` starts or reaches a server. Only the engine is replaced: prompts,
validation, retries and errors stay the real ones. A listener changes nothing; it sees requests and their answers.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar, runtime_checkable

from conduit.errors import ArgumentInvalid
from conduit.lmlite.request import LMReply, LMRequest


@runtime_checkable
class Substitute(Protocol):
    """Something that answers requests; ``conduit.testing.FakeLM`` is one."""

    async def respond(self, request: LMRequest) -> LMReply:
        """Called once a request, from any thread; may raise what the call is to raise."""
        ...


Emit = Callable[[str], Awaitable[None]]
"""Takes the next piece of an answer on its way to the reader of a stream."""


@runtime_checkable
class StreamingSubstitute(Substitute, Protocol):
    """A substitute that knows the pieces in which an answer came."""

    async def stream(self, request: LMRequest, emit: Emit) -> LMReply:
        """``respond`` for a reader of a stream: hands the pieces on, and returns the whole."""
        ...


Send = Callable[[Emit | None], Awaitable[LMReply]]
"""Sends a request on its way, to a substitute or a replica."""


@runtime_checkable
class Listener(Protocol):
    """Something that stands in the way of requests and passes them on."""

    async def heard(self, request: LMRequest, emit: Emit | None, send: Send) -> LMReply:
        """Called once a request, on the way to its answer: returns what ``send(emit)`` does, or raises it."""
        ...


S = TypeVar("S", bound=Substitute)
L = TypeVar("L", bound=Listener)

_lock = threading.Lock()
_stack: list[Substitute | Listener] = []


@contextmanager
def override(*, lm: S) -> Iterator[S]:
    """Sends every call of every ``LMLite`` in this process to ``lm``, in all threads, until the block ends.

    Overrides nest: the innermost one answers.
    """
    if not isinstance(lm, Substitute):
        raise ArgumentInvalid(
            f"override(lm=...) needs an object with `async def respond(request)`, not {type(lm).__name__}.",
            hint="Use conduit.testing.FakeLM(...).",
            argument="lm",
        )
    with _pushed(lm):
        yield lm


@contextmanager
def listen(listener: L) -> Iterator[L]:
    """Has ``listener`` hear every call of every ``LMLite`` in this process until the block ends.

    Calls that a substitute of an ``override`` within the block answers are not heard, those of one around it are.
    """
    with _pushed(listener):
        yield listener


@contextmanager
def _pushed(entry: Substitute | Listener) -> Iterator[None]:
    with _lock:
        _stack.append(entry)
    try:
        yield
    finally:
        with _lock:
            # From the top: another thread may have pushed since, and one object may stand here twice.
            position = len(_stack) - 1 - next(i for i, e in enumerate(reversed(_stack)) if e is entry)
            del _stack[position]


def current() -> Substitute | None:
    """The substitute in force, if any."""
    if not _stack:  # asked several times a call, and mostly so
        return None
    with _lock:
        return next((entry for entry in reversed(_stack) if isinstance(entry, Substitute)), None)


def in_force() -> bool:
    """Whether calls are answered or heard by a test: then nothing of theirs may be kept, or taken from what was."""
    with _lock:
        return bool(_stack)


def past_listeners(request: LMRequest, send: Send) -> Send:
    """Sends the request past the listeners that stand within the substitute in force."""
    if not _stack:
        return send
    for listener in _listeners():
        send = _past(listener, request, send)
    return send


def _listeners() -> list[Listener]:
    """Outermost first."""
    found: list[Listener] = []
    with _lock:
        for entry in reversed(_stack):
            if isinstance(entry, Substitute):
                break
            found.append(entry)
    return found[::-1]


def _past(listener: Listener, request: LMRequest, send: Send) -> Send:
    async def passed(emit: Emit | None) -> LMReply:
        return await listener.heard(request, emit, send)

    return passed
