"""One downloader at a time for a file, among processes and machines that share a folder.

A claim is a file that is made only where there is none, which network file systems keep even where their locks do
not hold. Its holder touches it; one that is not touched for a while belongs to a dead holder and is taken away. The
waiting time is measured on the waiter's own clock: the machines' clocks need not agree. Should two hold it for a
moment, they write the same bytes to the same places: a claim saves traffic, the hashes keep the content right.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

TOUCH_S = 5.0
STALE_S = 45.0
LOOK_S = 0.5


class Claim:
    """The right to fetch one file.

    Args:
        path: Where it stands, beside the file.
        stale_s: How long an untouched one counts.
        look_s: How often a waiter looks.
    """

    def __init__(self, path: Path, *, stale_s: float = STALE_S, look_s: float = LOOK_S) -> None:
        self._path = path
        self._stale_s = stale_s
        self._look_s = look_s
        self._holder = uuid.uuid4().hex

    @contextlib.asynccontextmanager
    async def held(self, waiting: Callable[[], bool]) -> AsyncIterator[bool]:
        """Hold it for a `with` block; what is yielded is whether it was got.

        Args:
            waiting: Called at each look while somebody else has it; False ends the waiting.

        Raises:
            OSError: The folder cannot be written.
        """
        if not await self._take(waiting):
            yield False
            return
        touching = asyncio.create_task(self._touch())
        try:
            yield True
        finally:
            touching.cancel()
            await asyncio.wait([touching])
            if self._seen() == self._holder:
                self._path.unlink(missing_ok=True)

    async def _take(self, waiting: Callable[[], bool]) -> bool:
        seen, since = None, time.monotonic()
        while not self._make():
            if not waiting():
                return False
            state = (self._seen(), _touched(self._path))
            if state != seen:
                seen, since = state, time.monotonic()
            elif time.monotonic() - since >= self._stale_s:
                self._remove(state[0])
                continue
            await asyncio.sleep(self._look_s)
        return True

    def _make(self) -> bool:
        try:
            with self._path.open("x", encoding="ascii") as file:
                file.write(self._holder)
        except FileExistsError:
            return False
        return True

    def _remove(self, holder: str | None) -> None:
        """Take a dead holder's claim away; of several waiters one succeeds."""
        aside = self._path.with_name(f"{self._path.name}.{self._holder}")
        with contextlib.suppress(FileNotFoundError):
            if self._seen() == holder:
                self._path.rename(aside)
                aside.unlink()

    async def _touch(self) -> None:
        while True:
            await asyncio.sleep(min(TOUCH_S, self._stale_s / 5))
            with contextlib.suppress(OSError):  # gone: somebody took us for dead
                os.utime(self._path)

    def _seen(self) -> str | None:
        try:
            return self._path.read_text(encoding="ascii")
        except (OSError, ValueError):
            return None


def _touched(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None
