"""Whether a loaded engine is ready, busy or dead, judged by what it gets done and not by what it says.

An engine that has work and gets nothing done is asked to answer something. While that goes unanswered it is busy;
when it has got nothing done for the stall time-out it is dead. Getting something done, answering, or having no work
clears it. An engine without work is not asked: a dead one is found by its first request.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

ASK_AFTER_S = 5.0

Verdict = Literal["ready", "busy", "dead"]


class Liveness:
    """Judges one engine.

    Args:
        stall_timeout_s: How long it may have work and get nothing done.
        clock: Seconds that only grow.
    """

    def __init__(self, *, stall_timeout_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._stall_timeout_s = stall_timeout_s
        self._ask_after_s = min(ASK_AFTER_S, stall_timeout_s / 4)
        self._clock = clock
        self._progress = 0
        self._has_work = False
        self._alive_at = clock()

    @property
    def check_every_s(self) -> float:
        """How often `note` should be called."""
        return min(1.0, self._stall_timeout_s / 8)

    def note(self, progress: int, *, has_work: bool) -> None:
        """Take in how much the engine has done so far and whether it has work now."""
        if progress != self._progress or not has_work or not self._has_work:
            self._alive_at = self._clock()
        self._progress, self._has_work = progress, has_work

    def answered(self) -> None:
        """Take in that it has answered the question."""
        self._alive_at = self._clock()

    @property
    def silent_s(self) -> float:
        """How long it has had work and got nothing done."""
        return self._clock() - self._alive_at if self._has_work else 0.0

    @property
    def should_be_asked(self) -> bool:
        """Whether it has got nothing done for long enough to be asked."""
        return self.silent_s >= self._ask_after_s

    def verdict(self, *, unanswered: bool) -> Verdict:
        """Judge it.

        Args:
            unanswered: Whether it was asked and has not answered yet, or has said no.
        """
        if not unanswered or not self.should_be_asked:
            return "ready"
        return "dead" if self.silent_s >= self._stall_timeout_s else "busy"
