"""Reading, in a thread or on another event loop, what work on the portal's loop hands out as it goes."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

from conduit import leash, mdl
from conduit.lmlite.calls.handover import Handover
from conduit.lmlite.calls.reply import Reply
from conduit.lmlite.portal import portal

E = TypeVar("E")
T = TypeVar("T")

Work = Callable[[Callable[[E], Awaitable[None]]], Coroutine[Any, Any, Any]]
"""Takes where to hand events to, which waits for a slow reader, and returns when there are no more."""


def events(work: Work[E]) -> Generator[E, None, None]:
    """What ``work`` hands out. It starts with the first event that is asked for; closing this cancels it."""
    portal().refuse_own_thread()
    leash.check()
    come = threading.Event()
    handed = Handover[E](come.set)
    future = portal().submit(work, handed.put)
    future.add_done_callback(lambda _: handed.end())
    try:
        with leash.held(future.cancel):
            while (taken := handed.take()) is not None:
                if not taken:
                    come.wait()
                    come.clear()
                yield from taken
            future.result()
    finally:
        future.cancel()


async def aevents(work: Work[E]) -> AsyncGenerator[E, None]:
    """``events`` for coroutines of any loop."""
    loop, come = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        try:
            loop.call_soon_threadsafe(come.set)
        except RuntimeError:  # the reader's loop has been closed under it
            future.cancel()

    handed = Handover[E](wake)
    future = portal().submit(work, handed.put)
    future.add_done_callback(lambda _: handed.end())
    try:
        while (taken := handed.take()) is not None:
            if not taken:
                await come.wait()
                come.clear()
            for event in taken:
                yield event
        future.result()
    finally:
        future.cancel()


def values(
    prompt: mdl.Prompt[T], work: Work[tuple[int, str] | Reply[T]]
) -> Generator[mdl.Partial[T] | T, None, None]:
    """Growing partial values of the attempts' pieces that ``work`` hands out, then the value of its reply."""
    reader = _PartialReader(prompt)
    with contextlib.closing(events(work)) as handed:
        for event in handed:
            if isinstance(event, Reply):
                yield event.value
            elif (partial := reader.feed(*event)) is not None:
                yield partial


async def avalues(
    prompt: mdl.Prompt[T], work: Work[tuple[int, str] | Reply[T]]
) -> AsyncGenerator[mdl.Partial[T] | T, None]:
    """``values`` for coroutines of any loop."""
    reader = _PartialReader(prompt)
    async with contextlib.aclosing(aevents(work)) as handed:
        async for event in handed:
            if isinstance(event, Reply):
                yield event.value
            elif (partial := reader.feed(*event)) is not None:
                yield partial


class _PartialReader(Generic[T]):
    """Reads the pieces of one attempt after the other. It works where the stream is read, not on the portal."""

    def __init__(self, prompt: mdl.Prompt[T]) -> None:
        self._prompt = prompt
        self._attempt = 0
        self._parser: mdl.StreamParser[T]

    def feed(self, attempt: int, piece: str) -> mdl.Partial[T] | None:
        if attempt != self._attempt:
            self._attempt, self._parser = attempt, self._prompt.parser(attempt)
        return self._parser.feed(piece)
