"""Who may enter a model's batch, and when: a queue for each class in front of a fixed number of places.

Two modes. With no window, a request enters as soon as a place is free (continuous batching). With a window,
the first request of an idle model is held until the batch is full or the window is over, then those that wait
enter as one wave; while the model is busy, places are filled continuously.

Two classes. An interactive request goes before every batch row, and in each class callers take turns. What an
interactive caller feels is less the wait for a place than what runs beside it: reading a row's prompt holds up its
first token. So while interactive requests run, and for `QUIET_S` after the last, batch rows keep `batch_share`
places only, and none enters in the first `settle_s` of such a request. When it arrives, the youngest rows above
that share are taken out of the engine and put back at the head of their queue, to be computed again. That costs a
row at most `MOST_PREEMPTIONS` times, and never one whose text is being handed out; rows that can no longer be taken
out hold at most half of the places, so that there is always something to take. Batch rows wait as long as
interactive requests wait: that is what their class means.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from gpu_server.serving.fair_queue import FairQueue
from gpu_server.serving.turn import CallLater, QueueFull, Timer, Turn

R = TypeVar("R")

QUIET_S = 10.0
MAX_BATCH_QUEUE = 1024
_NEWEST_COUNTS = 0.2  # weight of the newest request in the mean of how long they stay


class Admission:
    """The places and the queues of one model. Lives on one event loop.

    Args:
        concurrency: Places, that is requests in the engine at a time.
        max_queue: Interactive requests that may wait when all places are taken.
        max_batch_queue: Batch rows that may wait.
        batch_share: Places that batch rows keep beside interactive requests; None for all.
        settle_s: How long after the entry of an interactive request that still runs no batch row enters.
        window_s: How long an idle model holds its first request; 0 never.
        call_later: The event loop's by default; tests pass their own.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        *,
        concurrency: int,
        max_queue: int,
        max_batch_queue: int = MAX_BATCH_QUEUE,
        batch_share: int | None = None,
        settle_s: float = 0.0,
        window_s: float = 0.0,
        call_later: CallLater | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.concurrency = concurrency
        self.max_queue = max_queue
        self.max_batch_queue = max_batch_queue
        self.batch_share = min(concurrency, concurrency if batch_share is None else max(1, batch_share))
        self.running_batch = 0
        self.waves = 0
        self.preemptions = 0
        self._most_firm = (concurrency + 1) // 2
        self._window_s = window_s
        self._call_later = call_later
        self._clock = clock
        self._running: dict[Turn, None] = {}  # in the order in which they entered
        self._interactive: FairQueue[Turn] = FairQueue()
        self._batch: FairQueue[Turn] = FairQueue()
        self._window: Timer | None = None
        self._settle_s = settle_s
        self._settled_from = self._quiet_from = -math.inf
        self._later: Timer | None = None
        self._later_at = math.inf
        self._stay_s = {False: 0.0, True: 0.0}
        self._closed: Callable[[], Exception] | None = None

    @property
    def running(self) -> int:
        """Requests in the engine."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Requests that are not in the engine yet."""
        return len(self._interactive) + len(self._batch)

    @property
    def waiting_batch(self) -> int:
        """Those of them that are batch rows."""
        return len(self._batch)

    @property
    def wait_s(self) -> float:
        """How long an interactive request that came now would wait for its place."""
        return self.estimate_s(batch=False)

    def estimate_s(self, *, batch: bool) -> float:
        """Estimate how long a request that came now would wait, judged by how long the last ones stayed."""
        rounds = math.ceil((len(self._interactive) + 1) / self.concurrency)
        if not batch:
            return self._stay_s[False] * rounds
        places = self.concurrency if self._is_quiet() else self.batch_share
        before = self._stay_s[False] * (rounds - 1)
        return before + self._stay_s[True] * math.ceil((len(self._batch) + 1) / places)

    @asynccontextmanager
    async def place(self, caller: str = "", batch: bool = False) -> AsyncIterator[None]:
        """Wait for a place, keep it for the block, give it to the next.

        A cancelled caller leaves the queue at once.

        Raises:
            QueueFull: All places are taken or held, and the queue too.
        """
        turn = await self._enter(Turn(caller, batch=batch, repeatable=False))
        try:
            yield
        finally:
            self._exit(turn)

    async def run(self, work: Callable[[], Awaitable[R]], caller: str = "", batch: bool = False) -> R:
        """Do `work` in a place; that of a batch row may be cancelled and begun again from the start.

        Raises:
            QueueFull: All places are taken or held, and the queue too.
        """
        if not batch:
            async with self.place(caller):
                return await work()
        turn = await self._enter(Turn(caller, batch=True, repeatable=True))
        cancelled = _times_cancelled()
        while True:
            again = turn.preempted  # it may have been, in the moment between its entry and here
            try:
                if not again:
                    turn.work = working = asyncio.ensure_future(work())
                    return await working
            except asyncio.CancelledError:
                again = turn.preempted and _times_cancelled() == cancelled
                if not again:
                    raise
            finally:
                self._exit(turn, again=again)
            await self._given(turn)

    def close(self, refusal: Callable[[], Exception]) -> None:
        """Refuse those that wait and those that come, until `open`.

        Args:
            refusal: Makes the error that each of them gets.
        """
        self._closed = refusal
        self._end_window()
        for turn in (*self._interactive.clear(), *self._batch.clear()):
            if not turn.given.done():
                turn.given.set_exception(refusal())

    def open(self) -> None:
        """Take requests again."""
        self._closed = None

    async def _enter(self, turn: Turn) -> Turn:
        if self._closed:
            raise self._closed()
        self._check_room(batch=turn.batch)
        idle = not self._running and not self.waiting
        if turn.batch:
            self._batch.append(turn.caller, turn)
        else:
            self._interactive.append(turn.caller, turn)
        if idle and self._window_s and self.concurrency > 1:  # one request fills a batch of one
            call_later = self._call_later or asyncio.get_running_loop().call_later
            self._window = call_later(self._window_s, self._release)
        elif self._window and self.waiting >= self.concurrency:
            self._release()
        else:
            self._admit()
        await self._given(turn)
        return turn

    def _check_room(self, *, batch: bool) -> None:
        if batch:
            full = len(self._batch) >= self.max_batch_queue and not self._batch_may_enter()
        else:
            inside = self.running - self.running_batch + len(self._interactive)
            full = inside >= self.concurrency + self.max_queue
        if full:
            waiting = len(self._batch if batch else self._interactive)
            raise QueueFull(waiting, self.estimate_s(batch=batch))

    async def _given(self, turn: Turn) -> None:
        """Wait for the place; a caller that is cancelled meanwhile leaves."""
        try:
            await turn.given
        except asyncio.CancelledError:
            self._leave(turn)
            raise

    def _leave(self, turn: Turn) -> None:
        if turn in self._running:  # the place was given and the caller cancelled in the same moment
            self._exit(turn)
            return
        if turn.given.done() and not turn.given.cancelled():
            turn.given.exception()  # refused in the same moment; nobody will fetch it
        (self._batch if turn.batch else self._interactive).remove(turn.caller, turn)
        if not self.waiting:
            self._end_window()

    def _exit(self, turn: Turn, *, again: bool = False) -> None:
        """Give the place back; a row that is to be done again is first in its queue."""
        now = self._clock()
        del self._running[turn]
        turn.work, turn.preempted = None, False
        if turn.batch:
            self.running_batch -= 1
        else:
            self._quiet_from = now + QUIET_S
        if again:
            turn.given = asyncio.get_running_loop().create_future()
            if self._closed:
                turn.given.set_exception(self._closed())
            else:
                self._batch.put_back(turn.caller, turn)
        else:
            self._stay_s[turn.batch] += _NEWEST_COUNTS * (now - turn.began - self._stay_s[turn.batch])
        self._admit()

    def _release(self) -> None:
        self._end_window()
        self.waves += 1
        self._admit()

    def _end_window(self) -> None:
        if self._window:
            self._window.cancel()
            self._window = None

    def _admit(self) -> None:
        """Fill the places, interactive requests first; make room for those that found none."""
        if self._window:
            return
        while self._interactive and self.running < self.concurrency:
            self._give(self._interactive.pop())
        while self._batch and self._batch_may_enter():
            self._give(self._batch.pop())
        if self.running_batch:
            self._make_room()
        if self._batch:
            self._admit_later()

    def _give(self, turn: Turn) -> None:
        if turn.given.done():
            return
        self._running[turn] = None
        self.running_batch += turn.batch
        turn.began = self._clock()
        if not turn.batch:
            self._settled_from = turn.began + self._settle_s
        turn.given.set_result(None)

    def _is_quiet(self) -> bool:
        none = not self._interactive and self.running == self.running_batch
        return none and self._clock() >= self._quiet_from

    def _batch_may_enter(self) -> bool:
        if self._window or self._interactive or self.running >= self.concurrency:
            return False
        if not self._is_quiet() and self.running_batch >= self.batch_share:
            return False
        if self.running > self.running_batch and self._clock() < self._settled_from:
            return False
        if not self._batch or not self._batch.first().firm:
            return True
        return sum(turn.firm for turn in self._running if turn.batch) < self._most_firm

    def _make_room(self) -> None:
        """Take out the youngest batch rows above their share, and as many as interactive requests lack places."""
        if self._is_quiet():
            return
        rows = [turn for turn in self._running if turn.batch]
        leaving = sum(turn.preempted for turn in rows)
        above_share = len(rows) - leaving - self.batch_share
        lacking = len(self._interactive) - (self.concurrency - self.running) - leaving
        movable = [turn for turn in reversed(rows) if not turn.firm and not turn.preempted]
        for turn in movable[: max(0, above_share, lacking)]:
            turn.preempt()
            self.preemptions += 1

    def _admit_later(self) -> None:
        """Look again when rows may enter that may not now, unless the end of a request will tell earlier."""
        moment = self._settled_from if self.running > self.running_batch else self._quiet_from
        now = self._clock()
        if self._interactive or moment <= now or self._later_at <= moment:
            return
        if self._later:
            self._later.cancel()

        def look() -> None:
            self._later, self._later_at = None, math.inf
            self._admit()

        call_later = self._call_later or asyncio.get_running_loop().call_later
        self._later, self._later_at = call_later(moment - now, look), moment


def _times_cancelled() -> int:
    """Return how often the running task was told to end: its work's end alone does not tell who ended it."""
    task = asyncio.current_task()
    return task.cancelling() if task else 0
