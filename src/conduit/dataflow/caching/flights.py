"""One flight a key: of calls that ask the same at the same time in one process, one is made, and the others wait.

They get its result as data, each a value of its own. When it has none, because it failed or cannot be kept, the
next one that waited is made.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from conduit import leash


@dataclass
class Flight:
    """A call that others may wait for.

    Attributes:
        data: Its result: of another call where this one waited for it, else for this one to set.
    """

    data: bytes | None = None


_lock = threading.Lock()
_waiting: dict[str, list[Future[bytes | None]]] = {}
# What this call is part of: a block that calls itself cannot wait for itself.
_within: ContextVar[frozenset[str]] = ContextVar("conduit_flights", default=frozenset())


@contextmanager
def joined(key: str) -> Iterator[Flight]:
    """Leads the call of that key, or waits in this thread for the one that does."""
    if key in _within.get():
        yield Flight()
        return
    while (seat := _seat(key)) is not None:
        with leash.held(seat.cancel):
            data = seat.result()
        if data is not None:
            yield Flight(data)
            return
    with _led(key) as flight:
        yield flight


@asynccontextmanager
async def joined_async(key: str) -> AsyncIterator[Flight]:
    """``joined`` without holding up the event loop."""
    if key in _within.get():
        yield Flight()
        return
    while (seat := _seat(key)) is not None:
        data = await asyncio.wrap_future(seat)
        if data is not None:
            yield Flight(data)
            return
    with _led(key) as flight:
        yield flight


def _seat(key: str) -> Future[bytes | None] | None:
    """What gives the result of the call under way; ``None`` when there is none, and the asking one leads."""
    with _lock:
        others = _waiting.get(key)
        if others is None:
            _waiting[key] = []
            return None
        seat: Future[bytes | None] = Future()
        others.append(seat)
        return seat


@contextmanager
def _led(key: str) -> Iterator[Flight]:
    flight = Flight()
    token = _within.set(_within.get() | {key})
    try:
        yield flight
    finally:
        _within.reset(token)
        with _lock:
            seats = _waiting.pop(key)
        for seat in seats:
            if seat.set_running_or_notify_cancel():
                seat.set_result(flight.data)
