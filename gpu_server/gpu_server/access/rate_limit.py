"""How often each token may ask: a bucket of permits that fills at a steady rate and holds a burst."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from gpu_server.errors import rate_limited


class RateLimit:
    """The buckets, one a token.

    Args:
        requests_per_s: Permits that come back each second; None for no limit.
        burst: Most permits that a bucket holds.
        clock: Monotonic seconds.
    """

    def __init__(
        self, requests_per_s: float | None, burst: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = requests_per_s
        self._burst = burst
        self._clock = clock
        self._buckets: dict[int, tuple[float, float]] = {}  # permits, and when there were that many
        self.refused: dict[int, int] = {}
        """How many requests each token was refused."""

    def take(self, token_number: int) -> None:
        """Take one permit.

        Raises:
            ApiError: 429, with the seconds until the next one is there.
        """
        if self._rate is None:
            return
        now = self._clock()
        permits, since = self._buckets.get(token_number, (float(self._burst), now))
        permits = min(float(self._burst), permits + (now - since) * self._rate)
        if permits < 1:
            self._buckets[token_number] = permits, now
            self.refused[token_number] = self.refused.get(token_number, 0) + 1
            raise rate_limited(self._rate, max(1, math.ceil((1 - permits) / self._rate)))
        self._buckets[token_number] = permits - 1, now
