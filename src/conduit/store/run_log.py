"""The run log's writer: model calls are queued and written by one background thread, many in a transaction.

A model call must not wait for the disk nor fail with it, so ``add`` never blocks and nothing here raises into
a caller; what could not be written is said once in the log.
"""

from __future__ import annotations

import logging
import queue
import threading
from typing import TYPE_CHECKING

from conduit.store.base import ModelCall

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LOG = logging.getLogger(__name__)
_LARGEST_BATCH = 500
_LARGEST_BACKLOG = 50_000

_Item = ModelCall | threading.Event | None


class RunLogWriter:
    """Takes calls from any thread and writes them from its own."""

    def __init__(self, write: Callable[[Sequence[ModelCall]], None]) -> None:
        """Starts no thread yet.

        Args:
            write: Commits a batch; may raise.
        """
        self._write = write
        self.restart_after_fork()

    def restart_after_fork(self) -> None:
        """Begins anew in a child process: the thread and the backlog are the parent's."""
        self._queue: queue.Queue[_Item] = queue.Queue(_LARGEST_BACKLOG)
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._complained = False

    def add(self, call: ModelCall) -> None:
        """Queues a row."""
        try:
            self._queue.put_nowait(call)
            self._start()
        except Exception as error:  # a full queue, or a process that is ending and starts no more threads
            self._complain(error)

    def flush(self, timeout_s: float) -> bool:
        """Waits until all that was queued before is dealt with; False when the time is over first."""
        if self._queue.empty() and self._thread is None:
            return True
        done = threading.Event()
        try:
            self._queue.put(done, timeout=timeout_s)
            self._start()
        except Exception as error:  # as above
            self._complain(error)
            return False
        return done.wait(timeout_s)

    def close(self, timeout_s: float) -> bool:
        """Flushes and ends the thread; a later ``add`` starts a new one."""
        flushed = self.flush(timeout_s)
        with self._starting:
            thread, self._thread = self._thread, None
        if thread is not None and flushed:
            self._queue.put(None)
            thread.join(timeout_s)
        return flushed

    def _start(self) -> None:
        if self._thread is not None:
            return
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="conduit-run-log", daemon=True)
                thread.start()
                self._thread = thread

    def _run(self) -> None:
        while True:
            items = [self._queue.get()]
            while len(items) < _LARGEST_BATCH and not self._queue.empty():
                items.append(self._queue.get())
            calls = [item for item in items if isinstance(item, ModelCall)]
            if calls:
                self._commit(calls)
            for item in items:
                if isinstance(item, threading.Event):
                    item.set()
            if None in items:
                return

    def _commit(self, calls: Sequence[ModelCall]) -> None:
        try:
            self._write(calls)
            self._complained = False
        except Exception as error:  # whatever the database says, the calls themselves went well
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        if not self._complained:
            self._complained = True
            _LOG.warning("the run log misses rows: %s: %s", type(error).__name__, error)
