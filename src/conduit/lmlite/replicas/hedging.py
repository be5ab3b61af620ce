"""A race of two attempts at one request: the first to begin its answer wins, and the other is cancelled.

An attempt that hands out its answer in pieces calls ``claim`` before each; so never do two hand out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

import anyio
import anyio.lowlevel

from conduit.errors import ConduitError

R = TypeVar("R")


class Race(Generic[R]):
    """Two attempts at most.

    Attributes:
        results: The winner's, once it has one.
    """

    def __init__(self) -> None:
        self.results: list[R] = []
        self._runners: dict[int, anyio.CancelScope] = {}
        self._winner: int | None = None
        self._decided = anyio.Event()

    async def run(
        self,
        first: Callable[[], Awaitable[R]],
        second: Callable[[], Callable[[], Awaitable[R]] | None],
        *,
        after_s: float,
    ) -> None:
        """Runs the first attempt, and the second one as well if the first has not begun by then.

        Args:
            first: An attempt.
            second: Makes the other; ``None`` when it cannot be made.
            after_s: How long to wait for the first alone.

        Attempts may raise ``ConduitError``; with any other error both end, and it is raised in a group.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._one(1, first))
            with anyio.move_on_after(after_s):
                await self._decided.wait()
            if not self._decided.is_set() and (other := second()) is not None:
                group.create_task(self._one(2, other))

    async def _one(self, number: int, attempt: Callable[[], Awaitable[R]]) -> None:
        _runner.set((self, number))
        with anyio.CancelScope() as scope:
            self._runners[number] = scope
            try:
                result = await attempt()
            except ConduitError:
                pass  # the other attempt may do better; who made them knows of it
            else:
                self.claim(number)
                if self._winner == number:
                    self.results.append(result)
            finally:
                del self._runners[number]
        if not self._runners:
            self._decided.set()

    def claim(self, number: int) -> None:
        """That attempt begins; the other ends, unless it has begun before."""
        if self._winner is None:
            self._winner = number
            self._decided.set()
        for other, scope in self._runners.items():
            if other != self._winner:
                scope.cancel()


_runner: ContextVar[tuple[Race[Any], int] | None] = ContextVar("conduit_race", default=None)


async def claim() -> None:
    """Called by an attempt before it hands out a piece; it is cancelled here when another has begun before it."""
    if (runner := _runner.get()) is not None:
        race, number = runner
        race.claim(number)
        await anyio.lowlevel.checkpoint_if_cancelled()
