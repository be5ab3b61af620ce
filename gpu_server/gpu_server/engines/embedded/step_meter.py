"""Counts an engine's forward steps from the outside, where the engine does not report them.

mistral.rs on a CPU lets sequences advance together only while they have the same length. So each forward step is
one length, and the tokens that arrive at one length at about the same time are one step. What is counted is
therefore inferred, not reported: a token that completes no UTF-8 character arrives late and may be counted as a
step of its own, and two steps at one length less than `STALE_S` apart may be taken for one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

STALE_S = 0.25
ENDED_STALE_S = 0.01
"""For a step that was the last of a sequence: no later token of that sequence will close it."""


class _Step:
    __slots__ = ("ended", "last", "passed", "size")

    def __init__(self) -> None:
        self.size = 0
        self.last = 0.0
        self.passed = False
        self.ended = False


class StepMeter:
    """Takes every token of every sequence; may be called from many threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.steps = 0
        self.largest_batch = 0
        self.tokens = 0
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[int, _Step] = {}
        self._recent: dict[int, tuple[int, _Step, _Step | None]] = {}

    def token(self, sequence: int, length: int) -> None:
        """Note that `sequence` reached `length` tokens, its prompt included."""
        with self._lock:
            self.tokens += 1
            now = self._clock()
            step = self._open.get(length)
            if step is None or step.passed or now - step.last > (ENDED_STALE_S if step.ended else STALE_S):
                step = self._open[length] = _Step()
                self.steps += 1
            step.size += 1
            step.last = now
            self.largest_batch = max(self.largest_batch, step.size)
            before = self._recent.get(sequence)
            if before is not None:
                self._pass(before)
            self._recent[sequence] = (length, step, before[1] if before else None)

    def end(self, sequence: int) -> None:
        """Forget a sequence that has finished or left."""
        with self._lock:
            last = self._recent.pop(sequence, None)
            for step in last[1:] if last else ():
                if isinstance(step, _Step):
                    step.ended = True
            if not self._recent:
                self._open.clear()

    def _pass(self, before: tuple[int, _Step, _Step | None]) -> None:
        # Threads deliver tokens a little out of order, so a step closes when a member is two tokens further on.
        length, _, older = before
        if older is not None:
            older.passed = True
            if self._open.get(length - 1) is older:
                del self._open[length - 1]
