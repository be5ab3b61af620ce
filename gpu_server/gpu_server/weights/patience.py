"""How long a download is tried again: with growing pauses, until nothing has moved for too long."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from gpu_server.engines.base import LoadError
from gpu_server.weights.base import Progress

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0


class TryAgain(Exception):
    """It failed in a way that may pass.

    Attributes:
        after_s: How long the hub asks to wait; 0 when it does not say.
    """

    def __init__(self, why: str, after_s: float = 0.0) -> None:
        super().__init__(why)
        self.after_s = after_s


class Broken(TryAgain):
    """What came is not what was asked for; it will hardly get better."""


class Patience:
    """The pauses of one model's download.

    Args:
        progress: When something last moved.
        limit_s: How long nothing may move.
        first_pause_s: Of the pauses, which double.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        progress: Progress,
        limit_s: float,
        *,
        first_pause_s: float = FIRST_PAUSE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._progress = progress
        self.limit_s = limit_s
        self._first_pause_s = first_pause_s
        self._clock = clock

    async def pause(self, trouble: TryAgain, failures: int) -> None:
        """Wait before the next try: no shorter than the hub asks, and not all replicas at the same moment.

        Args:
            trouble: Why the last try failed.
            failures: How many have failed since something last moved; at least 1.

        Raises:
            LoadError: The next try would come too late.
        """
        spread = random.uniform(0.5, 1.0)  # noqa: S311  (spreads load, guards nothing)
        backed_off_s = min(LONGEST_PAUSE_S, self._first_pause_s * 2 ** min(failures - 1, 16)) * spread
        wait_s = max(backed_off_s, trouble.after_s * random.uniform(1.0, 1.1))  # noqa: S311  (as above)
        silent_s = self._clock() - self._progress.moved_at
        if silent_s + wait_s > self.limit_s:
            raise LoadError(
                f"the download got no byte for {silent_s:.0f} s, and the next try would be in {wait_s:.0f} s, past "
                f"startup_timeout_s={self.limit_s:g}: {trouble}. What is there is kept for the next start."
            ) from trouble
        await asyncio.sleep(wait_s)
