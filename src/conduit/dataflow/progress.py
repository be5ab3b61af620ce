"""How far maps have come, told to whoever wants to see it; the bar in the terminal is one who does."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from conduit import settings

if TYPE_CHECKING:
    import rich.progress

logger = logging.getLogger(__name__)

# A map that is over sooner shows no bar.
_PATIENCE_S = 0.5
_LINES_A_SECOND = 5


class MapObserver(Protocol):
    """Watches one map. Its methods are called by one thread at a time, and not for long."""

    def started(self, name: str, total: int | None) -> None:
        """A map over the block of that name begins; ``total`` items, where that is known."""
        ...

    def advanced(self, done: int, failed: int) -> None:
        """So many more items have ended; those that a ledger knew of are among them."""
        ...

    def ended(self) -> None:
        """The map is over, well or not."""
        ...


class Progress:
    """Tells all observers of one map; one that fails is left out, and the map goes on."""

    def __init__(self, observers: list[MapObserver]) -> None:
        self._observers = observers
        self._lock = threading.Lock()

    def advanced(self, done: int, failed: int) -> None:
        """See ``MapObserver``; from any thread."""
        if self._observers and (done or failed):
            self._tell(lambda observer: observer.advanced(done, failed))

    def _tell(self, say: Callable[[MapObserver], None]) -> None:
        with self._lock:
            for observer in list(self._observers):
                try:
                    say(observer)
                except Exception as error:
                    self._observers.remove(observer)
                    logger.warning("a map's progress is not shown: %s: %s", type(error).__name__, error)

    @contextmanager
    def lasting(self, name: str, total: int | None) -> Iterator[None]:
        """From the map's start to its end."""
        self._tell(lambda observer: observer.started(name, total))
        try:
            yield
        finally:
            self._tell(lambda observer: observer.ended())


def of_map() -> Progress:
    """Whoever wants to see the map that begins now."""
    return Progress([observer for make in observers if (observer := make()) is not None])


class Bar:
    """A line of the terminal; those of all maps of the process are one picture."""

    def __init__(self) -> None:
        self._name = ""
        self._total: int | None = None
        self._done = self._failed = 0
        self._began = time.monotonic()
        self._line: rich.progress.TaskID | None = None

    def started(self, name: str, total: int | None) -> None:
        self._name, self._total = name, total

    def advanced(self, done: int, failed: int) -> None:
        self._done, self._failed = self._done + done, self._failed + failed
        if self._line is None and time.monotonic() - self._began >= _PATIENCE_S:
            self._line = _picture.add(self._name, self._total)
        if self._line is not None:
            _picture.set(self._line, self._done + self._failed, self._failed)

    def ended(self) -> None:
        if self._line is not None:
            _picture.end(self._line)


class _Picture:
    """The one live picture that all bars share; there while one of them is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shown: rich.progress.Progress | None = None
        self._lines: set[rich.progress.TaskID] = set()

    def add(self, name: str, total: int | None) -> rich.progress.TaskID:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        with self._lock:
            if self._shown is None:
                self._shown = Progress(
                    TextColumn("{task.description}", markup=False),
                    BarColumn(),
                    MofNCompleteColumn(),
                    TextColumn("{task.fields[failures]}", style="red", markup=False),
                    TimeRemainingColumn(),
                    console=Console(stderr=True),
                    refresh_per_second=_LINES_A_SECOND,
                )
                self._shown.start()
            line = self._shown.add_task(name, total=total, failures="")
            self._lines.add(line)
            return line

    def set(self, line: rich.progress.TaskID, completed: int, failed: int) -> None:
        shown = self._shown
        if shown is not None:
            shown.update(line, completed=completed, failures=f"{failed} failed" if failed else "")

    def end(self, line: rich.progress.TaskID) -> None:
        with self._lock:
            self._lines.discard(line)
            # The lines of maps that are over stay until the last one is: then the picture stands as it is.
            if self._shown is not None and not self._lines:
                self._shown.stop()
                self._shown = None


_picture = _Picture()


def _bar() -> MapObserver | None:
    terminal = sys.stderr is not None and sys.stderr.isatty()
    if not terminal and settings.variable_set("progress") is None:
        return None
    wanted = settings.load().progress
    return Bar() if wanted == "on" or (wanted == "auto" and terminal) else None


observers: list[Callable[[], MapObserver | None]] = [_bar]
"""What makes an observer of a map, or ``None`` where it wants to see nothing; asked where the map begins."""
