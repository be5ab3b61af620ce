"""Prometheus metrics. What the models, the door and the kernel count themselves is read at a scrape, not before.

Names and units follow Prometheus' conventions. Labels come from the configuration and from our own words, never
from a caller: a model that is not served here, or a path that is no route, counts as "".
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gpu_server.access.record import RequestRecord
from gpu_server.serving.children import children
from gpu_server.serving.served_models import ServedModels

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_PER_SECOND = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
_STATES = ("starting", "ready", "busy", "failed")


class Metrics:
    """The server's metrics, in a registry of their own.

    Args:
        models: Read at each scrape.
        others: What else is read at each scrape.
    """

    def __init__(self, models: ServedModels, others: Iterable[Collector] = ()) -> None:
        self._served = frozenset(model.settings.model_id for model in models)
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        for collector in (_ModelCollector(models), _ChildCollector(), *others):
            self._registry.register(collector)
        self._requests = Counter(
            "gpu_server_requests",
            "Answers by model (empty for paths without one) and HTTP status; 499 is a caller that left.",
            ("model", "status"),
            registry=self._registry,
        )
        self._errors = Counter(
            "gpu_server_errors",
            "Answers that are an error, by its code.",
            ("code",),
            registry=self._registry,
        )
        self._seconds = self._histogram(
            "gpu_server_request_seconds",
            "Time from a request's arrival to the end of its answer, waiting included.",
        )
        self._first_token = self._histogram(
            "gpu_server_time_to_first_token_seconds",
            "Time from a request's arrival to its first token, waiting included.",
        )
        self._queued = self._histogram(
            "gpu_server_queue_seconds", "Time that a request waited for a place in the batch."
        )
        self._speed = self._histogram(
            "gpu_server_tokens_per_second",
            "Tokens a second of one answer after its first token.",
            buckets=_PER_SECOND,
        )

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...] = _SECONDS) -> Histogram:
        return Histogram(name, text, ("model",), buckets=buckets, registry=self._registry)

    def ended(self, record: RequestRecord) -> None:
        """Count one request that has ended."""
        model = record.model if record.model in self._served else ""
        self._requests.labels(model, str(record.status)).inc()
        if record.code is not None:
            self._errors.labels(record.code).inc()
        if record.finish is None or not model:
            return
        self._seconds.labels(model).observe(record.total_s)
        if record.queued_s is not None:
            self._queued.labels(model).observe(record.queued_s)
        if record.first_token_s is not None:
            self._first_token.labels(model).observe(record.first_token_s)
        if (speed := record.tokens_per_s) is not None:
            self._speed.labels(model).observe(speed)

    def render(self) -> bytes:
        """Return the text that Prometheus scrapes."""
        return generate_latest(self._registry)


class _ModelCollector(Collector):
    def __init__(self, models: ServedModels) -> None:
        self._models = models

    def collect(self) -> Iterable[Metric]:
        """Read the models' own counts."""
        gauges = {
            name: GaugeMetricFamily(f"gpu_server_{name}", text, labels=["model"])
            for name, text in (
                ("model_ready", "1 when the model answers."),
                ("running", "Requests in the engine."),
                ("places", "Most requests that may be in the engine."),
                ("largest_batch", "Most sequences that advanced in one engine step."),
                ("kv_cache_usage_ratio", "Share of the key-value cache in use, where the engine tells."),
            )
        }
        counters = {
            name: CounterMetricFamily(f"gpu_server_{name}", text, labels=["model"])
            for name, text in (
                ("engine_steps", "Forward steps of the engine, as it reports them or as tokens arrive."),
                ("prompt_tokens", "Prompt tokens of completed requests."),
                ("completion_tokens", "Tokens generated, those of cancelled requests too."),
                ("cancelled", "Requests taken out of the engine because their caller left."),
                ("admission_waves", "Batches that were held together and released as one."),
                ("preemptions", "Batch rows taken out of the engine to make room, and computed again."),
                ("engine_restarts", "Engines that were lost and replaced."),
            )
        }
        state = GaugeMetricFamily(
            "gpu_server_model_state", "1 for the state that the model is in.", labels=["model", "state"]
        )
        waiting = GaugeMetricFamily(
            "gpu_server_queue_depth", "Requests that wait for a place.", labels=["model", "class"]
        )
        for served in self._models:
            model, counts, admission = served.settings.model_id, served.engine.counters, served.admission
            for name, value in {
                "model_ready": served.answers,
                "running": admission.running,
                "places": admission.concurrency,
                "largest_batch": counts.largest_batch,
                "kv_cache_usage_ratio": counts.kv_used,
                "engine_steps": counts.steps,
                "prompt_tokens": counts.prompt_tokens,
                "completion_tokens": counts.completion_tokens,
                "cancelled": counts.cancelled,
                "admission_waves": admission.waves,
                "preemptions": admission.preemptions,
                "engine_restarts": served.restarts,
            }.items():
                if value is not None:
                    (gauges.get(name) or counters[name]).add_metric([model], value)
            for each in _STATES:
                state.add_metric([model, each], served.state == each)
            waiting.add_metric([model, "interactive"], admission.waiting - admission.waiting_batch)
            waiting.add_metric([model, "batch"], admission.waiting_batch)
        return [*gauges.values(), *counters.values(), state, waiting]


class _ChildCollector(Collector):
    def collect(self) -> Iterable[Metric]:
        """Read what the kernel says of the engines' processes; nothing where it has no `/proc`."""
        found = children()
        if found is None:
            return []
        return [
            GaugeMetricFamily(
                "gpu_server_child_processes",
                "Engines' and other processes that the server started.",
                value=found.processes,
            ),
            GaugeMetricFamily(
                "gpu_server_child_resident_memory_bytes",
                "Their resident memory.",
                value=found.resident_bytes,
            ),
            CounterMetricFamily(
                "gpu_server_child_cpu_seconds",
                "User and system time of those that live.",
                value=found.cpu_s,
            ),
            GaugeMetricFamily(
                "gpu_server_child_open_fds", "Their open file descriptors.", value=found.open_fds
            ),
        ]
