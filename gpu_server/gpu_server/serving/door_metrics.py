"""What the door counts: connections, and whom it turned away."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gpu_server.access.connection import Connections
from gpu_server.access.rate_limit import RateLimit


class DoorCollector(Collector):
    """Reads the counts at a scrape.

    Args:
        rate_limit: Whose refusals.
        connections: Whose connections; None without a web server.
    """

    def __init__(self, rate_limit: RateLimit, connections: Connections | None) -> None:
        self._rate_limit = rate_limit
        self._connections = connections

    def collect(self) -> Iterable[Metric]:
        """Read them."""
        limited = CounterMetricFamily(
            "gpu_server_rate_limited",
            "Requests over the rate limit, by the number of the token, from 1.",
            labels=["token"],
        )
        for number, times in self._rate_limit.refused.items():
            limited.add_metric([str(number)], times)
        yield limited
        if self._connections is None:
            return
        yield GaugeMetricFamily("gpu_server_connections", "Open connections.", value=self._connections.count)
        away = CounterMetricFamily(
            "gpu_server_connections_turned_away",
            "Connections that the server refused or ended because of what came, or did not come, over them.",
            labels=["reason"],
        )
        for reason, times in self._connections.turned_away.items():
            away.add_metric([reason], times)
        yield away
