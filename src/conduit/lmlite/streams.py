"""Reading, in a thread or on another event loop, what work on the portal's loop hands out as it goes."""

from __future__ import annotations

import asyncio
import contextlib
import queue
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from dataclasses import make_dataclass
from typing import Any, Generic, TypeVar

from conduit import mdl
from conduit.lmlite.portal import portal
from conduit.lmlite.reply import Reply
from conduit.lmlite.typed import reasoning_field
from conduit.mdl.reasoning import ANSWER

E = TypeVar("E")
T = TypeVar("T")

Work = Callable[[Callable[[E], None]], Coroutine[Any, Any, Any]]
"""Takes where to hand events to, and returns when there are no more."""


class _End:
    """Behind the last event."""


def events(work: Work[E]) -> Generator[E, None, None]:
    """What ``work`` hands out. It starts with the first event that is asked for; closing this cancels it."""
    portal().refuse_own_thread()
    handed: queue.SimpleQueue[E | _End] = queue.SimpleQueue()
    future = portal().submit(work, handed.put)
    future.add_done_callback(lambda _: handed.put(_End()))
    try:
        while not isinstance(event := handed.get(), _End):
            yield event
        future.result()
    finally:
        future.cancel()


async def aevents(work: Work[E]) -> AsyncGenerator[E, None]:
    """``events`` for coroutines of any loop."""
    loop, handed = asyncio.get_running_loop(), asyncio.Queue[E | _End]()

    def put(event: E | _End) -> None:
        with contextlib.suppress(RuntimeError):  # the reader's loop has been closed meanwhile
            loop.call_soon_threadsafe(handed.put_nowait, event)

    future = portal().submit(work, put)
    future.add_done_callback(lambda _: put(_End()))
    try:
        while not isinstance(event := await handed.get(), _End):
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
        # A field of reasoning beside the others is read over, as no field of the type.
        self._around = reasoning_field(prompt) == "around"
        self._type: Any = _around(prompt) if self._around else prompt.output
        self._attempt = 0
        self._parser: mdl.StreamParser[T]

    def feed(self, attempt: int, piece: str) -> mdl.Partial[T] | None:
        if attempt != self._attempt:
            self._attempt, self._parser = attempt, mdl.StreamParser(self._type, attempt=attempt)
        partial = self._parser.feed(piece)
        return _Inner(partial) if partial is not None and self._around else partial


class _Inner(mdl.Partial[T]):
    """The partial value within an object that also holds the reasoning."""

    __slots__ = ("_object",)

    def __init__(self, whole: mdl.Partial[Any]) -> None:
        super().__init__(None, whole.attempt)
        self._object = whole

    @property
    def value(self) -> Any:
        return self._object.get(ANSWER)


_arounds: dict[str, type[Any]] = {}
_MOST_AROUNDS = 256


def _around(prompt: mdl.Prompt[Any]) -> type[Any]:
    # Kept by the hash, which covers what can be seen of an answer: compiling a type costs more than reading one.
    found = _arounds.get(prompt.hash)
    if found is None:
        if len(_arounds) >= _MOST_AROUNDS:
            _arounds.clear()
        found = _arounds[prompt.hash] = make_dataclass("Reasoned", [(ANSWER, prompt.output)])
    return found
