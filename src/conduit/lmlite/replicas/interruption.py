"""Work of a task that is ended from outside while the task goes on: by its deadline, or with its replica.

What ``asyncio.timeout`` does, for hundreds of requests at a time: it makes eleven objects for each, 1 KB of the
12 KB that a waiting call held.
"""

from __future__ import annotations

import asyncio
import math
import time


class Interruption:
    """Ends what the current task does from here on, until it is over."""

    __slots__ = ("_done", "_others", "_task")

    def __init__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task, self._others = task, task.cancelling()
        self._done = False

    def cancel(self) -> None:
        """Ends it."""
        if not self._done:
            self._done = True
            self._task.cancel()

    @property
    def alone(self) -> bool:
        """Whether the work was ended, and by nobody else as well."""
        return self._done and self._task.cancelling() <= self._others + 1

    def over(self) -> None:
        """The work is; the task goes on."""
        if self._done:
            self._task.uncancel()


class Deadlines:
    """Ends work that is late: those that are due together have one timer of the loop's."""

    TICK_S = 0.02
    """Most that they are late."""

    def __init__(self) -> None:
        self._due: dict[int, tuple[set[Interruption], asyncio.TimerHandle]] = {}

    def watch(self, deadline: float, work: Interruption) -> None:
        """Ends the work then, in seconds of ``time.monotonic``."""
        if deadline == math.inf:
            return
        tick = self._tick(deadline)
        due = self._due.get(tick)
        if due is None:
            left_s = tick * self.TICK_S - time.monotonic()
            timer = asyncio.get_running_loop().call_later(max(0.0, left_s), self._end, tick)
            self._due[tick] = due = set(), timer
        due[0].add(work)

    def forget(self, deadline: float, work: Interruption) -> None:
        """The work is over."""
        if deadline == math.inf:
            return
        tick = self._tick(deadline)
        if (due := self._due.get(tick)) is not None:
            due[0].discard(work)
            if not due[0]:
                due[1].cancel()
                del self._due[tick]

    def _tick(self, deadline: float) -> int:
        return math.ceil(deadline / self.TICK_S)

    def _end(self, tick: int) -> None:
        for work in self._due.pop(tick)[0]:
            work.cancel()
