"""Who may enter a model's batch, and when: a FIFO queue in front of a fixed number of places.

Two modes. With no window, a request enters as soon as a place is free (continuous batching). With a window,
the first request of an idle model is held until the batch is full or the window is over, then all that wait
enter as one wave; while the model is busy, places are filled continuously.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol


class Timer(Protocol):
    """What `call_later` returns."""

    def cancel(self) -> None:
        """Forget the call."""


_NEWEST_COUNTS = 0.2  # weight of the newest request in the mean of how long they stay

CallLater = Callable[[float, Callable[[], None]], Timer]


class QueueFull(Exception):
    """No place is free and the queue is full."""

    def __init__(self, waiting: int) -> None:
        super().__init__(f"{waiting} requests wait")
        self.waiting = waiting


class Admission:
    """The places and the queue of one model. Lives on one event loop.

    Args:
        concurrency: Places, that is requests in the engine at a time.
        max_queue: Requests that may wait when all places are taken.
        window_s: How long an idle model holds its first request; 0 never.
        call_later: The event loop's by default; tests pass their own.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        *,
        concurrency: int,
        max_queue: int,
        window_s: float = 0.0,
        call_later: CallLater | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.concurrency = concurrency
        self.max_queue = max_queue
        self.running = 0
        self.waves = 0
        self._window_s = window_s
        self._call_later = call_later
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._window: Timer | None = None
        self._clock = clock
        self._stay_s = 0.0

    @property
    def waiting(self) -> int:
        """Requests that are not in the engine yet."""
        return len(self._waiting)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for a place, keep it for the block, give it to the next.

        A cancelled caller leaves the queue at once.

        Raises:
            QueueFull: All places are taken or held, and the queue too.
        """
        await self._enter()
        began = self._clock()
        try:
            yield
        finally:
            self.running -= 1
            self._stay_s += _NEWEST_COUNTS * (self._clock() - began - self._stay_s)
            self._admit()

    @property
    def wait_s(self) -> float:
        """How long a request that came now would wait for its place, judged by how long the last ones stayed."""
        return self._stay_s * math.ceil((self.waiting + 1) / self.concurrency)

    async def _enter(self) -> None:
        idle = self.running == 0 and not self._waiting
        if not self._waiting and self.running < self.concurrency and not (idle and self._window_s):
            self.running += 1
            return
        if self.running + len(self._waiting) >= self.concurrency + self.max_queue:
            raise QueueFull(len(self._waiting))
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        if idle:
            self._hold()
        elif self._window and len(self._waiting) >= self.concurrency:
            self._release()
        try:
            await turn
        except asyncio.CancelledError:
            self._leave(turn)
            raise

    def _leave(self, turn: asyncio.Future[None]) -> None:
        if (
            turn.done() and not turn.cancelled()
        ):  # the place was given and the caller cancelled in the same moment
            self.running -= 1
            self._admit()
            return
        if turn in self._waiting:
            self._waiting.remove(turn)
        if not self._waiting and self._window:
            self._window.cancel()
            self._window = None

    def _hold(self) -> None:
        if self.concurrency == 1:  # one request fills the batch
            self._admit()
            return
        call_later = self._call_later or asyncio.get_running_loop().call_later
        self._window = call_later(self._window_s, self._release)

    def _release(self) -> None:
        if self._window:
            self._window.cancel()
            self._window = None
            self.waves += 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self.running < self.concurrency and not self._window:
            turn = self._waiting.popleft()
            if not turn.done():
                self.running += 1
                turn.set_result(None)
