"""Ctrl-C and SIGTERM for commands that have something to give back before they end."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Self


class Interrupts:
    """SIGINT and SIGTERM end the ``with`` block once, by ``SystemExit`` with the code that shells expect."""

    def __enter__(self) -> Self:
        self._before = {each: signal.signal(each, self._leave) for each in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def ignore(self) -> None:
        """From here on nothing may interrupt: the clean-up has begun, and all of its waits have an end."""
        for each in self._before:
            signal.signal(each, signal.SIG_IGN)

    def _leave(self, signum: int, _frame: FrameType | None) -> None:
        self.ignore()
        raise SystemExit(128 + signum)
