"""A request on its way through admission, and what admission needs to say and to ask for beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

MOST_PREEMPTIONS = 2


class Timer(Protocol):
    """What `call_later` returns."""

    def cancel(self) -> None:
        """Forget the call."""


CallLater = Callable[[float, Callable[[], None]], Timer]


class QueueFull(Exception):
    """No place is free and the queue is full.

    Attributes:
        waiting: Requests of the class that wait.
        wait_s: How long the refused one would have waited for its place.
    """

    def __init__(self, waiting: int, wait_s: float = 0.0) -> None:
        super().__init__(f"{waiting} requests wait")
        self.waiting = waiting
        self.wait_s = wait_s


class Turn:
    """One request, from its arrival to its end.

    Attributes:
        caller: Who asks.
        batch: Whether it is of the batch class.
        repeatable: Whether its work may be cancelled and begun again.
        given: Done when it has its place.
        began: When it got the place.
        work: What it does there, if that may be cancelled.
        preempted: Whether it was told to give its place back.
        times: How often it has been.
    """

    __slots__ = ("batch", "began", "caller", "given", "preempted", "repeatable", "times", "work")

    def __init__(self, caller: str, *, batch: bool, repeatable: bool) -> None:
        self.caller = caller
        self.batch = batch
        self.repeatable = repeatable
        self.given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.began = 0.0
        self.work: asyncio.Future[Any] | None = None
        self.preempted = False
        self.times = 0

    @property
    def firm(self) -> bool:
        """Whether it keeps its place to its end."""
        return not self.repeatable or self.times >= MOST_PREEMPTIONS

    def preempt(self) -> None:
        """Tell it to give its place back."""
        self.preempted = True
        self.times += 1
        if self.work is not None:
            self.work.cancel()
