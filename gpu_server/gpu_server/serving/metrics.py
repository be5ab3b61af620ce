"""Prometheus metrics. What the models count themselves is read at a scrape, and costs nothing before."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gpu_server.serving.served_models import ServedModels

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """The server's metrics, in a registry of their own.

    Args:
        models: Read at each scrape.
    """

    def __init__(self, models: ServedModels) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(_ModelCollector(models))
        self._requests = Counter(
            "gpu_server_requests",
            "Answers by model (empty for paths without one) and HTTP status; 499 is a caller that left.",
            ("model", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "gpu_server_request_seconds",
            "Time from a chat request's arrival to the end of its answer, waiting included.",
            ("model",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._first_token = Histogram(
            "gpu_server_time_to_first_token_seconds",
            "Time from a chat request's arrival to its first token, waiting included.",
            ("model",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._queued = Histogram(
            "gpu_server_queue_seconds",
            "Time that a chat request waited for a place in the batch.",
            ("model",),
            buckets=_SECONDS,
            registry=self._registry,
        )

    def answered(self, model: str, status: int) -> None:
        """Count one answer."""
        self._requests.labels(model, str(status)).inc()

    def timed(self, model: str, *, total_s: float, first_token_s: float, queued_s: float) -> None:
        """Record the times of one completed chat request."""
        self._seconds.labels(model).observe(total_s)
        self._first_token.labels(model).observe(first_token_s)
        self._queued.labels(model).observe(queued_s)

    def render(self) -> bytes:
        """Return the text that Prometheus scrapes."""
        return generate_latest(self._registry)


class _ModelCollector(Collector):
    def __init__(self, models: ServedModels) -> None:
        self._models = models

    def collect(self) -> Iterable[Metric]:
        """Read the models' own counts."""
        ready = GaugeMetricFamily("gpu_server_model_ready", "1 when the model answers.", labels=["model"])
        running = GaugeMetricFamily("gpu_server_running", "Requests in the engine.", labels=["model"])
        waiting = GaugeMetricFamily(
            "gpu_server_queue_depth", "Requests that wait for a place.", labels=["model"]
        )
        largest = GaugeMetricFamily(
            "gpu_server_largest_batch", "Most sequences that advanced in one engine step.", labels=["model"]
        )
        steps = CounterMetricFamily(
            "gpu_server_engine_steps",
            "Forward steps of the engine, inferred from the arrival of tokens: the engine does not report them.",
            labels=["model"],
        )
        prompt = CounterMetricFamily(
            "gpu_server_prompt_tokens", "Prompt tokens of completed requests.", labels=["model"]
        )
        completion = CounterMetricFamily(
            "gpu_server_completion_tokens",
            "Tokens generated, those of cancelled requests too.",
            labels=["model"],
        )
        cancelled = CounterMetricFamily(
            "gpu_server_cancelled",
            "Requests taken out of the engine because their caller left.",
            labels=["model"],
        )
        waves = CounterMetricFamily(
            "gpu_server_admission_waves",
            "Batches that were held together and released as one.",
            labels=["model"],
        )
        for served in self._models:
            label, counters = [served.settings.model_id], served.engine.counters
            ready.add_metric(label, served.state == "ready")
            running.add_metric(label, served.admission.running)
            waiting.add_metric(label, served.admission.waiting)
            largest.add_metric(label, counters.largest_batch)
            steps.add_metric(label, counters.steps)
            prompt.add_metric(label, counters.prompt_tokens)
            completion.add_metric(label, counters.completion_tokens)
            cancelled.add_metric(label, counters.cancelled)
            waves.add_metric(label, served.admission.waves)
        return ready, running, waiting, largest, steps, prompt, completion, cancelled, waves
