"""Cuts an answer at the first stop string, while it is still coming in pieces."""

from __future__ import annotations

from collections.abc import Sequence


class StopText:
    """Passes text on, holding back what may turn out to be the beginning of a stop string.

    Args:
        stops: The stop strings; none passes everything on.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.hit = False

    def feed(self, text: str) -> str:
        """Take the next piece and return what may be shown; after a hit, nothing more."""
        if not self._stops:
            return text
        if self.hit:
            return ""
        held = self._held + text
        found = [at for at in (held.find(stop) for stop in self._stops) if at >= 0]
        if found:
            self.hit, self._held = True, ""
            return held[: min(found)]
        keep = max(self._overlap(held, stop) for stop in self._stops)
        self._held = held[len(held) - keep :]
        return held[: len(held) - keep]

    def rest(self) -> str:
        """Return what was held back, at the end of the answer."""
        held, self._held = self._held, ""
        return held

    @staticmethod
    def _overlap(text: str, stop: str) -> int:
        """Length of the longest end of `text` that begins `stop`."""
        for size in range(min(len(stop) - 1, len(text)), 0, -1):
            if text.endswith(stop[:size]):
                return size
        return 0
