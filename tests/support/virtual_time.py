"""A clock that jumps: what waits for an hour is done in no time, in the same order as it would be.

The loop sleeps by moving its own clock on, ``time.time`` follows it, and what is meant for threads runs at once, so
that a scene runs the same each time.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from unittest import mock

import anyio.to_thread

_BEGINNING = 1_800_000_000.0


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only while it waits."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        really_select = self._selector.select

        def select(timeout=None):
            assert timeout is not None, "everything waits for something that cannot happen"
            self.now += timeout
            return really_select(0)

        self._selector.select = select

    def time(self):
        return self.now


@contextmanager
def virtual_time():
    """A loop of its own, with all clocks that the code under test reads on its time."""
    loop = VirtualLoop()

    async def at_once(function, *args, **_options):
        await asyncio.sleep(0)
        return function(*args)

    with (
        mock.patch.object(time, "time", side_effect=lambda: _BEGINNING + loop.now),
        mock.patch.object(anyio.to_thread, "run_sync", at_once),
    ):
        try:
            yield loop
        finally:
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(asyncio.sleep(0))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
