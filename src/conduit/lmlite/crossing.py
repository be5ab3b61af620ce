"""Calls that cross from one event loop to another and back, in whichever threads these run.

What a loop sends within one of its turns arrives at the other together. To wake a loop for each call by itself
costs a system call, and with it the interpreter's lock changes threads: with thousands of calls a second that was a
fifth of their time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import copy_context
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary, ref

from conduit import leash

T = TypeVar("T")


class Crossings:
    """The calls of other loops that one loop runs."""

    def __init__(self, home: asyncio.AbstractEventLoop) -> None:
        self._home = home
        self._ways: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[_Way, _Way]] = WeakKeyDictionary()

    async def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Has it run at home, in this context, and waits; cancelling it cancels it there.

        Raises:
            RuntimeError: The loop at home has ended.
        """
        here = asyncio.get_running_loop()
        if here is self._home:
            return await work
        ways = self._ways.get(here)
        if ways is None:
            there = _Way(self._home, _Crossing.begin, _Crossing.lost)
            ways = self._ways[here] = there, _Way(here, _Crossing.settle)
        there, back = ways
        answer: asyncio.Future[T] = here.create_future()
        crossing = _Crossing(work, answer, self._home, back)
        there.send(crossing)
        with leash.held(crossing.end):
            try:
                return await answer
            except asyncio.CancelledError:
                crossing.end()
                raise


class _Way:
    """To one loop, from another that is always the same.

    Args:
        target: Where it leads.
        arrive: What is done there with each crossing.
        lost: What is done here where that loop has ended.
    """

    def __init__(
        self,
        target: asyncio.AbstractEventLoop,
        arrive: Callable[[_Crossing[Any]], None],
        lost: Callable[[_Crossing[Any]], None] | None = None,
    ) -> None:
        self._target = ref(target)  # kept by whoever runs it, and not by those who send
        self._arrive, self._lost = arrive, lost
        self._sent: list[_Crossing[Any]] = []

    def send(self, crossing: _Crossing[Any]) -> None:
        """Sends it with all others of this turn."""
        if not self._sent:
            asyncio.get_running_loop().call_soon(self._go)
        self._sent.append(crossing)

    def _go(self) -> None:
        sent, self._sent = self._sent, []
        target = self._target()
        try:
            if target is not None:
                target.call_soon_threadsafe(_each, self._arrive, sent)
                return
        except RuntimeError:  # it is closed
            pass
        if self._lost is not None:
            _each(self._lost, sent)


def _each(step: Callable[[_Crossing[Any]], None], crossings: list[_Crossing[Any]]) -> None:
    for crossing in crossings:
        step(crossing)


class _Crossing(Generic[T]):
    """One call."""

    __slots__ = ("_answer", "_back", "_context", "_ended", "_home", "_task", "_work")

    def __init__(
        self,
        work: Coroutine[Any, Any, T],
        answer: asyncio.Future[T],
        home: asyncio.AbstractEventLoop,
        back: _Way,
    ) -> None:
        self._work, self._answer, self._home, self._back = work, answer, home, back
        self._context = copy_context()
        self._task: asyncio.Task[T] | None = None
        self._ended = False

    def begin(self) -> None:
        """At home."""
        if self._ended:  # that was quicker
            self._work.close()
            self._back.send(self)
            return
        self._task = self._home.create_task(self._work, context=self._context)
        self._task.add_done_callback(self._done, context=self._context)

    def end(self) -> None:
        """Cancels it, from any thread."""
        with suppress(RuntimeError):  # the loop has ended, and with it all that ran there
            self._home.call_soon_threadsafe(self._cancel)

    def lost(self) -> None:
        """Where it came from: it cannot begin."""
        self._work.close()
        if not self._answer.done():
            self._answer.set_exception(RuntimeError("The event loop that was to run this has ended."))

    def settle(self) -> None:
        """Where it came from: it has ended."""
        if self._answer.done():
            return
        if self._task is None or self._task.cancelled():
            self._answer.cancel()
        elif (error := self._task.exception()) is not None:
            self._answer.set_exception(error)
        else:
            self._answer.set_result(self._task.result())

    def _cancel(self) -> None:
        self._ended = True
        if self._task is not None:
            self._task.cancel()

    def _done(self, task: asyncio.Task[T]) -> None:
        if not task.cancelled():
            task.exception()  # seen, also where nobody waits any more
        self._back.send(self)
