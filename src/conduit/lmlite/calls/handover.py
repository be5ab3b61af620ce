"""Events on their way from the portal's loop to a reader in a thread or on another loop; at most so many at a time.

The writer waits while there is no room, so a reader that stops makes the socket behind the writer stop, too. A
reader is woken when it waits and something comes, a writer when it waits and events were taken; nobody is woken for
each event.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

E = TypeVar("E")

ROOM = 256
"""Events that may wait for their reader."""


class Handover(Generic[E]):
    """A bounded queue with writers on event loops and one reader anywhere.

    Args:
        wake: Tells the reader, from any thread, that there is something or that all is over; called only while it
            waits.
        room: Events that may wait.
    """

    def __init__(self, wake: Callable[[], None], room: int = ROOM) -> None:
        self._wake, self._room = wake, room
        self._lock = threading.Lock()
        self._events: deque[E] = deque()
        self._reader_waits = False
        self._over = False
        self._writers: list[asyncio.Future[None]] = []

    async def put(self, event: E) -> None:
        """Hands one event over; waits first while there is no room."""
        while True:
            with self._lock:
                if len(self._events) < self._room:
                    self._events.append(event)
                    waits, self._reader_waits = self._reader_waits, False
                    break
                freed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._writers.append(freed)
            await freed
        if waits:
            self._wake()

    def end(self) -> None:
        """Says that nothing more comes; from any thread."""
        with self._lock:
            self._over = True
            waits, self._reader_waits = self._reader_waits, False
        if waits:
            self._wake()

    def take(self) -> list[E] | None:
        """What has come, for the reader: nothing means that it will be woken, ``None`` that all is over."""
        with self._lock:
            if not self._events:
                self._reader_waits = not self._over
                return None if self._over else []
            # Half at most: writers go on while the reader works on these.
            taken = [self._events.popleft() for _ in range(min(len(self._events), max(1, self._room // 2)))]
            writers, self._writers = self._writers, []
        for freed in writers:
            with contextlib.suppress(RuntimeError):  # its loop has been closed, and the writer with it
                freed.get_loop().call_soon_threadsafe(_free, freed)
        return taken


def _free(freed: asyncio.Future[None]) -> None:
    if not freed.done():
        freed.set_result(None)
