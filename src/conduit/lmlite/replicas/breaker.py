"""The circuit breaker of one replica: after failures in a row it gets nothing for a while, then one trial.

Pure: the caller brings the clock. Only broken transport counts. An answer is an answer, be it 400, 429 or 503:
what a client did wrong, or a full queue, must never take a replica out.
"""

from __future__ import annotations

from typing import Literal

BreakerState = Literal["closed", "open", "half-open"]

_FAILURES = 3
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0


class Breaker:
    """Closed: requests pass. Open: none do. Half-open: one does, and decides."""

    def __init__(self) -> None:
        self._failures = 0
        self._pause_s = _FIRST_PAUSE_S
        self._open_until: float | None = None
        self._trial = False

    def state(self, now: float) -> BreakerState:
        """Which it is."""
        if self._open_until is None:
            return "closed"
        return "open" if now < self._open_until else "half-open"

    def lets_pass(self, now: float) -> bool:
        """Whether a request may be sent."""
        return self._open_until is None or (now >= self._open_until and not self._trial)

    def sent(self, now: float) -> None:
        """A request was sent; half-open, it is the trial."""
        self._trial = self.state(now) == "half-open"

    def answered(self) -> bool:
        """An answer came, of whatever kind; returns whether the replica is back by it."""
        was_open = self._open_until is not None
        self._failures, self._pause_s, self._open_until, self._trial = 0, _FIRST_PAUSE_S, None, False
        return was_open

    def failed(self, now: float) -> None:
        """A connection broke or stalled; after some in a row, or at a trial, it opens."""
        self._failures += 1
        if self._trial:
            self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
        elif self._failures < _FAILURES or self._open_until is not None:
            return  # what was sent before it opened does not make it stay open
        self._open_until, self._trial = now + self._pause_s, False

    def left(self) -> None:
        """A request was given up by its caller, which tells nothing."""
        self._trial = False
