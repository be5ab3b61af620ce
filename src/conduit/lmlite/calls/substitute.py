"""Answering in place of a model: while a substitute is in force, no ``LMLite`` starts or reaches a server.

Only the engine is replaced. Prompts, validation, retries and errors stay the real ones.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
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


S = TypeVar("S", bound=Substitute)

_lock = threading.Lock()
_stack: list[Substitute] = []


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
    with _lock:
        _stack.append(lm)
    try:
        yield lm
    finally:
        with _lock:
            # From the top: another thread may have pushed since, and one object may stand here twice.
            position = len(_stack) - 1 - next(i for i, entry in enumerate(reversed(_stack)) if entry is lm)
            del _stack[position]


def current() -> Substitute | None:
    """The substitute in force, if any."""
    with _lock:
        return _stack[-1] if _stack else None
