"""Ends a process that nobody uses, or that has lived its time.

A replica may outlive the program that started it. Three limits make sure that it does not run for ever: on the time
without a request, on its whole life, and a moment of the calendar, which a process that is started again keeps.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOOK_S = 60.0  # the calendar may be set meanwhile


class Watchdog:
    """Counts what is in flight and knows when the process should end.

    Args:
        idle_timeout_s: Longest time with nothing in flight; None for no limit.
        max_lifetime_s: Longest life, busy or not; None for no limit.
        expires_at: Unix time of the end, busy or not; None for no limit.
        clock: Monotonic seconds.
        calendar: Unix time.
    """

    def __init__(
        self,
        *,
        idle_timeout_s: float | None,
        max_lifetime_s: float | None,
        expires_at: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        calendar: Callable[[], float] = time.time,
    ) -> None:
        self._idle_timeout_s = idle_timeout_s
        self._max_lifetime_s = max_lifetime_s
        self._expires_at = expires_at
        self._clock = clock
        self._calendar = calendar
        self._started = self._idle_since = clock()
        self._in_flight = 0

    @property
    def in_flight(self) -> int:
        """Requests that are being answered."""
        return self._in_flight

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Mark the time of one request, or of loading."""
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1
            self._idle_since = self._clock()

    def expired(self) -> str | None:
        """Return why the process should end now, or None."""
        now = self._clock()
        if self._expires_at is not None and self._calendar() >= self._expires_at:
            return f"its time is over (expires_at={self._expires_at:.0f})"
        if self._max_lifetime_s is not None and now - self._started >= self._max_lifetime_s:
            return f"lifetime limit reached (max_lifetime_s={self._max_lifetime_s:g})"
        if (
            self._idle_timeout_s is not None
            and not self._in_flight
            and now - self._idle_since >= self._idle_timeout_s
        ):
            return f"no request for the idle limit (idle_timeout_s={self._idle_timeout_s:g})"
        return None

    def next_check_s(self) -> float | None:
        """Return how long nothing can expire, in seconds; None when there is no limit."""
        now = self._clock()
        moments: list[float] = []
        if self._expires_at is not None:
            moments.append(now + min(_LOOK_S, self._expires_at - self._calendar()))
        if self._max_lifetime_s is not None:
            moments.append(self._started + self._max_lifetime_s)
        if self._idle_timeout_s is not None:
            moments.append((now if self._in_flight else self._idle_since) + self._idle_timeout_s)
        return max(0.0, min(moments) - now) if moments else None

    async def wait(self) -> str:
        """Sleep until a limit is reached and return which; for ever when there is none."""
        while (reason := self.expired()) is None:
            pause_s = self.next_check_s()
            if pause_s is None:
                await asyncio.Event().wait()
            else:
                await asyncio.sleep(pause_s + 0.001)
        return reason
