"""What a pod's process has written, line by line, each with the time at which it was seen."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

MOST_LINES = 5000


@dataclass(frozen=True)
class Line:
    """One line; ``at`` in unix seconds."""

    at: float
    text: str
    source: str = "container"


class Log:
    """The latest lines of a file that grows, and what the host says beside it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read = 0
        self._rest = b""
        self._lines: deque[Line] = deque(maxlen=MOST_LINES)

    def note(self, text: str) -> None:
        """A line of the host."""
        self._lines.append(Line(self._now(), text, "system"))

    def lines(self) -> list[Line]:
        """All that are kept, oldest first; no two have the same time."""
        self.look()
        return list(self._lines)

    def look(self) -> None:
        """Takes up what was added."""
        try:
            with self._file.open("rb") as file:
                file.seek(self._read)
                added = file.read()
        except OSError:
            return  # nothing has run yet
        self._read += len(added)
        *whole, self._rest = (self._rest + added).split(b"\n")
        for line in whole:
            self._lines.append(Line(self._now(), line.decode(errors="replace")))

    def _now(self) -> float:
        # A reader resumes after a time: two lines of one time could not be told apart.
        last = self._lines[-1].at if self._lines else 0.0
        return max(round(time.time(), 6), round(last + 1e-6, 6))
