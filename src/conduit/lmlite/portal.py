"""The one background event loop on which all of ``lmlite``'s I/O runs.

Threads and other event loops hand it coroutines and wait; so connections, round robin and deployments have one
home, and the synchronous interface is the asynchronous one. It starts at first use and ends with the process; a
forked child gets one of its own.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from conduit import leash
from conduit.errors import ConduitError
from conduit.lmlite.crossing import Crossings

T = TypeVar("T")

_STOP_TIMEOUT_S = 5.0


class Portal:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._closers: list[Callable[[], Awaitable[None]]] = []
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._crossings: Crossings
        self._started = threading.Event()
        # A daemon: a sync call that never returns must not keep the process; `close` runs at exit all the same.
        self._thread = threading.Thread(target=self._run, name="conduit-portal", daemon=True)
        self._thread.start()
        self._started.wait()

    def _run(self) -> None:
        runner = asyncio.Runner(loop_factory=_new_loop)
        try:
            runner.run(self._main())
        finally:
            # At exit Python 3.12 starts no thread, in which this waits for the loop's executor; the loop is closed.
            with suppress(RuntimeError):
                runner.close()

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._crossings = Crossings(self._loop)
        self._started.set()
        await self._stop.wait()
        for closer in reversed(self._closers):
            await closer()

    @property
    def alive(self) -> bool:
        """Whether it can take work."""
        return self._thread.is_alive()

    def at_close(self, closer: Callable[[], Awaitable[None]]) -> None:
        """Has ``closer`` awaited on the loop when it ends."""
        self._closers.append(closer)

    def submit(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> Future[T]:
        """Starts ``function(*args)`` on the loop; cancelling the future cancels it there."""
        return asyncio.run_coroutine_threadsafe(function(*args), self._loop)

    def refuse_own_thread(self) -> None:
        """Raises where a synchronous wait would stop the loop that it waits for.

        Raises:
            ConduitError: Called on the loop's own thread.
        """
        if threading.current_thread() is self._thread:
            raise ConduitError(
                "A synchronous call was made on Conduit's own event loop, where it would wait for itself.",
                hint="Use the asynchronous form here: `await lm.acall(...)`.",
            )

    def call(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Runs ``function(*args)`` on the loop and waits; an interrupt cancels it there.

        Raises:
            ConduitError: Called on the loop's own thread.
        """
        self.refuse_own_thread()
        leash.check()
        future = self.submit(function, *args)
        try:
            with leash.held(future.cancel):
                return future.result()
        except BaseException:
            future.cancel()
            raise

    def acall(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> Coroutine[Any, Any, T]:
        """The same for a coroutine of any loop, which awaits what this returns."""
        leash.check()
        return self._crossings.call(function(*args))

    def close(self) -> None:
        """Cancels what still runs, closes connections and ends the thread."""
        if self.alive:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(_STOP_TIMEOUT_S)


def _new_loop() -> asyncio.AbstractEventLoop:
    # Twice as quick with many connections; it is not made for Windows.
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


_lock = threading.Lock()
_portal: Portal | None = None
_of_parents: list[Portal] = []


def portal() -> Portal:
    """This process's portal, started now if need be."""
    global _portal  # noqa: PLW0603 - one for the process
    with _lock:
        if _portal is None or not _portal.alive:
            _portal = Portal()
        return _portal


def _close() -> None:
    if _portal is not None:
        _portal.close()


def _after_fork() -> None:
    # The parent's loop is kept, unused: collecting its sockets here would take them from the parent's epoll.
    global _portal, _lock
    if _portal is not None:
        _of_parents.append(_portal)
    _portal, _lock = None, threading.Lock()


atexit.register(_close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
