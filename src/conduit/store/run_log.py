"""The run log's writer: rows are queued and written by one background thread, many in a transaction.

A call must not wait for the disk nor fail with it, so ``add`` never blocks and nothing here raises into a caller;
what could not be written is said once in the log.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING

from conduit.store.base import ModelCall
from conduit.store.runs import BlockCall, FlowRun

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LOG = logging.getLogger(__name__)
_LARGEST_BATCH = 1000
_LARGEST_BACKLOG = 50_000
_GATHERING_S = 0.25
"""How long the first row waits for others: a transaction costs as much as fifty rows."""

LogRow = ModelCall | BlockCall | FlowRun


class RunLogWriter:
    """Takes rows from any thread and writes them from its own."""

    def __init__(self, write: Callable[[Sequence[LogRow]], None]) -> None:
        """Starts no thread yet.

        Args:
            write: Commits a batch; may raise.
        """
        self._write = write
        self.restart_after_fork()

    def restart_after_fork(self) -> None:
        """Begins anew in a child process: the thread and the backlog are the parent's."""
        self._queue: deque[LogRow | threading.Event | None] = deque()
        self._awake, self._hurry = threading.Event(), threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._complained = False

    def add(self, row: LogRow) -> None:
        """Queues a row."""
        if len(self._queue) >= _LARGEST_BACKLOG:
            self._complain(f"more than {_LARGEST_BACKLOG} are waiting to be written")
            return
        self._queue.append(row)
        if not self._awake.is_set():  # after the row: the thread takes the sign away before it takes rows
            self._awake.set()
        if self._thread is None:
            self._start()

    def flush(self, timeout_s: float) -> bool:
        """Waits until all that was queued before is dealt with; False when the time is over first."""
        if not self._queue and self._thread is None:
            return True
        done = threading.Event()
        self._at_once(done)
        return self._start() and done.wait(timeout_s)

    def close(self, timeout_s: float) -> bool:
        """Flushes and ends the thread; a later ``add`` starts a new one."""
        flushed = self.flush(timeout_s)
        with self._starting:
            thread, self._thread = self._thread, None
            if thread is not None and flushed:
                self._at_once(None)
                thread.join(timeout_s)
        return flushed

    def _at_once(self, sign: threading.Event | None) -> None:
        self._queue.append(sign)
        self._hurry.set()
        self._awake.set()

    def _start(self) -> bool:
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="conduit-run-log", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # the process is ending and starts no more threads
                    self._complain(str(error))
                    return False
                self._thread = thread
        return True

    def _run(self) -> None:
        while True:
            self._awake.wait()
            self._awake.clear()
            self._hurry.wait(_GATHERING_S)
            self._hurry.clear()
            while self._queue:
                if not self._deal_with_some():
                    return

    def _deal_with_some(self) -> bool:
        """Writes a batch; False when the thread is to end."""
        rows: list[LogRow] = []
        signs: list[threading.Event] = []
        stop = False
        while self._queue and len(rows) < _LARGEST_BATCH and not stop:
            match self._queue.popleft():
                case None:
                    stop = True
                case threading.Event() as sign:
                    signs.append(sign)
                case row:
                    rows.append(row)
        if rows:
            self._commit(rows)
        for sign in signs:
            sign.set()
        return not stop

    def _commit(self, rows: Sequence[LogRow]) -> None:
        try:
            self._write(rows)
            self._complained = False
        except Exception as error:  # whatever the database says, the calls themselves went well
            self._complain(f"{type(error).__name__}: {error}")

    def _complain(self, why: str) -> None:
        if not self._complained:
            self._complained = True
            _LOG.warning("the run log misses rows: %s", why)
