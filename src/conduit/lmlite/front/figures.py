"""What a front has done so far, in Prometheus' text form: its own part; each replica has its own ``/metrics``."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Figures:
    """Counts.

    Attributes:
        in_flight: Requests that run.
    """

    def __init__(self) -> None:
        self.in_flight = 0
        self._requests: Counter[tuple[str, int]] = Counter()
        self._first_bytes = [0] * (len(_BOUNDS_S) + 1)
        self._first_bytes_s = 0.0

    def answered(self, route: str, status: int, first_byte_s: float | None) -> None:
        """Counts one request that ended.

        Args:
            route: One of those that there are, so that callers make no new series.
            status: Of the answer; 499 when the caller left before.
            first_byte_s: Until its answer began; ``None`` where that says nothing of a model.
        """
        self._requests[route, status] += 1
        if first_byte_s is not None:
            self._first_bytes[bisect_left(_BOUNDS_S, first_byte_s)] += 1
            self._first_bytes_s += first_byte_s

    def text(self, connections: int, replicas: Mapping[str, int]) -> bytes:
        """All of it.

        Args:
            connections: Open now.
            replicas: How many are in each state.
        """
        lines = [
            "# HELP conduit_front_requests_total Requests answered.",
            "# TYPE conduit_front_requests_total counter",
        ]
        for (route, status), count in sorted(self._requests.items()):
            lines.append(f'conduit_front_requests_total{{route="{route}",code="{status}"}} {count}')
        lines += _gauge("conduit_front_requests_in_flight", "Requests that run.", {"": self.in_flight})
        lines += _gauge("conduit_front_connections", "Open connections of callers.", {"": connections})
        states = {f'{{state="{state}"}}': count for state, count in sorted(replicas.items())}
        lines += _gauge("conduit_front_replicas", "Replicas by state.", states)
        name = "conduit_front_first_byte_seconds"
        lines += [f"# HELP {name} Time until an answer of a model began.", f"# TYPE {name} histogram"]
        total = 0
        for bound, count in zip([*map(str, _BOUNDS_S), "+Inf"], self._first_bytes, strict=True):
            total += count
            lines.append(f'{name}_bucket{{le="{bound}"}} {total}')
        lines += [f"{name}_sum {self._first_bytes_s:.6f}", f"{name}_count {total}"]
        return ("\n".join(lines) + "\n").encode()


def _gauge(name: str, help: str, values: Mapping[str, int]) -> list[str]:
    head = [f"# HELP {name} {help}", f"# TYPE {name} gauge"]
    return head + [f"{name}{labels} {value}" for labels, value in values.items()]
