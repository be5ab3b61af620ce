"""Calls on a leash: whoever they were made for can end them, in whichever threads they wait.

A thread cannot be interrupted from outside, so a call that waits in one would outlive the flow that was cancelled,
or the map that Ctrl-C left. What waits says here how to end its wait, and whoever is interrupted cuts the leash.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar


class Leash:
    """Ends the calls that were made while it was on, and lets no further one begin."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancels: dict[object, Callable[[], object]] = {}
        self.is_cut = False

    @contextmanager
    def on(self) -> Iterator[None]:
        """Holds the calls made within, by threads and tasks that begin there as well."""
        token = _leashes.set((*_leashes.get(), self))
        try:
            yield
        finally:
            _leashes.reset(token)

    def cut(self) -> None:
        """Ends them."""
        with self._lock:
            self.is_cut = True
            cancels = list(self._cancels.values())
        for cancel in cancels:
            cancel()

    def hold(self, key: object, cancel: Callable[[], object]) -> None:
        """Has ``cancel`` called when the leash is cut; at once if it is."""
        with self._lock:
            self._cancels[key] = cancel
            late = self.is_cut
        if late:
            cancel()

    def let_go(self, key: object) -> None:
        """Forgets a call that has ended."""
        with self._lock:
            self._cancels.pop(key, None)


_leashes: ContextVar[tuple[Leash, ...]] = ContextVar("conduit_leashes", default=())


_FREE = nullcontext()


def held(cancel: Callable[[], object]) -> AbstractContextManager[None]:
    """Holds a call that waits within on the leashes that are on.

    Raises:
        asyncio.CancelledError: One of them was cut. It is no ``Exception``, so it passes retries and maps.
    """
    leashes = _leashes.get()
    return _held(leashes, cancel) if leashes else _FREE


@contextmanager
def _held(leashes: tuple[Leash, ...], cancel: Callable[[], object]) -> Iterator[None]:
    key = object()
    try:
        for leash in leashes:
            leash.hold(key, cancel)
        yield
    except CancelledError:
        check()
        raise
    finally:
        for leash in leashes:
            leash.let_go(key)


def check() -> None:
    """Lets a further call begin, or ends what would make it.

    Raises:
        asyncio.CancelledError: A leash that is on was cut.
    """
    if any(leash.is_cut for leash in _leashes.get()):
        raise asyncio.CancelledError("what this was called for has ended")


def sleep(time_s: float) -> None:
    """``time.sleep`` that ends with the leash.

    Raises:
        asyncio.CancelledError: It was cut.
    """
    over = threading.Event()
    with held(over.set):
        over.wait(time_s)
    check()
