"""Numbers out of a metrics text in Prometheus' form, and what can be said from two of them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Self

_LINE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")


class Samples:
    """The samples of one scrape.

    Args:
        text: The scrape; lines that are none are left out.
    """

    def __init__(self, text: str = "") -> None:
        self._found: dict[str, list[tuple[dict[str, str], float]]] = {}
        for line in text.splitlines():
            if line.startswith("#") or (match := _LINE.fullmatch(line.strip())) is None:
                continue
            name, labels, number = match.groups()
            try:
                value = float(number)
            except ValueError:
                continue
            named = {key: _ESCAPED.sub(_unescaped, text) for key, text in _LABEL.findall(labels or "")}
            self._found.setdefault(name, []).append((named, value))

    def value(self, name: str, **labels: str) -> float | None:
        """One sample, or the sum of those with these labels; ``None`` where there is none."""
        found = [value for given, value in self._found.get(name, ()) if labels.items() <= given.items()]
        return sum(found) if found else None

    def errors(self, model: str) -> float:
        """Answers to requests for that model that were errors; callers that left are none."""
        return sum(
            value
            for labels, value in self._found.get("gpu_server_requests_total", ())
            if labels.get("model") == model
            and labels.get("status", "") >= "400"
            and labels["status"] != "499"
        )

    def grown(self, before: Self, name: str, **labels: str) -> float:
        """How much a counter grew since ``before``; one that began anew counts from there."""
        now, then = self.value(name, **labels) or 0.0, before.value(name, **labels) or 0.0
        return now - then if now >= then else now

    def quantile(self, share: float, before: Self, name: str, **labels: str) -> float | None:
        """Below which value that share of a histogram's new observations lie; ``None`` where there are none.

        Within a bucket they are taken to lie evenly, as Prometheus does.
        """
        counts = self._buckets(name, labels)
        for bound, count in before._buckets(name, labels).items():
            counts[bound] = counts.get(bound, 0.0) - count
        bounds = sorted(counts)
        total = counts[bounds[-1]] if bounds else 0.0
        if total <= 0:
            return None
        low, below = 0.0, 0.0
        for bound in bounds:
            if counts[bound] >= share * total:
                if math.isinf(bound):
                    return low
                inside = counts[bound] - below
                return low + (bound - low) * ((share * total - below) / inside if inside else 1.0)
            low, below = bound, counts[bound]
        return low

    def _buckets(self, name: str, labels: Mapping[str, str]) -> dict[float, float]:
        return {
            float(given["le"]): value
            for given, value in self._found.get(f"{name}_bucket", ())
            if labels.items() <= given.items()
        }


def _unescaped(match: re.Match[str]) -> str:
    return {"n": "\n"}.get(match[1], match[1])
