"""Carries calls from threads to the event loop, waking it once for all that have piled up."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Mailbox:
    """Posts calls to one event loop, in order.

    Args:
        loop: Where the calls run.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._calls: list[tuple[Callable[[Any], None], Any]] = []

    def post(self, function: Callable[[T], None], argument: T) -> None:
        """Have the loop call `function(argument)` soon. A closed loop drops it: nobody is left to care."""
        with self._lock:
            self._calls.append((function, argument))
            wake = len(self._calls) == 1
        if wake:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        with self._lock:
            calls, self._calls = self._calls, []
        for function, argument in calls:
            function(argument)
