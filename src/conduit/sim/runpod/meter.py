"""What something costs: spans of time at a price, billed to the fraction of a second."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class _Span:
    start: float
    usd_per_hour: float
    end: float | None = None


@dataclass
class Meter:
    """Runs while something costs money. Times are unix seconds."""

    _spans: list[_Span] = field(default_factory=list)

    @property
    def ran(self) -> bool:
        """Whether it ever did."""
        return bool(self._spans)

    def start(self, now: float, usd_per_hour: float) -> None:
        """Begins a span, and ends one that runs."""
        self.stop(now)
        self._spans.append(_Span(now, usd_per_hour))

    def stop(self, now: float) -> None:
        """Ends the span that runs, if one does."""
        if self._spans and self._spans[-1].end is None:
            self._spans[-1].end = now

    def usd(self, since: float, until: float) -> float:
        """What was spent between two times."""
        return sum(
            max(0.0, min(until, span.end or until) - max(since, span.start)) * span.usd_per_hour / 3600
            for span in self._spans
        )
