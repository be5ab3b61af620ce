"""OpenTelemetry spans of requests, sent where `OTEL_EXPORTER_OTLP_ENDPOINT` says; without it nothing is loaded.

A request's spans are made when it has ended, from its record: the request itself, which goes on with the caller's
`traceparent`, its wait in the queue, and its time in the engine. So they cost a running batch nothing. They hold
numbers and names, never a prompt or an answer.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import threading
from collections.abc import Mapping
from typing import Any

from gpu_server.access.record import RequestRecord

logger = logging.getLogger(__name__)

SERVICE_NAME = "conduit-gpu-server"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_OPERATIONS = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "text_completion",
    "/v1/embeddings": "embeddings",
}
_CLOSE_S = 3.0


class Tracing:
    """Makes and sends the spans.

    Args:
        exporter: Where they go; OTLP over HTTP by default, as the environment configures it.
    """

    def __init__(self, exporter: Any = None) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get(
            "OTEL_RESOURCE_ATTRIBUTES", ""
        )
        resource = Resource.create({} if named else {"service.name": SERVICE_NAME})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("gpu_server")

    def ended(self, record: RequestRecord) -> None:
        """Make the spans of one request that has ended."""
        if not record.route:
            return
        from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        caller = TraceContextTextMapPropagator().extract({"traceparent": record.traceparent})
        request = self._tracer.start_span(
            f"{record.method} {record.route}",
            caller,
            SpanKind.SERVER,
            attributes=_attributes(record),
            start_time=_ns(record, 0.0),
        )
        if record.code is not None:
            request.set_status(StatusCode.ERROR)
        inside = set_span_in_context(request)
        if record.queued_s is not None:
            queue = self._tracer.start_span("queue", inside, start_time=_ns(record, 0.0))
            queue.end(_ns(record, record.queued_s))
            engine = self._tracer.start_span("engine", inside, start_time=_ns(record, record.queued_s))
            if record.first_token_s is not None:
                engine.add_event("first token", timestamp=_ns(record, record.first_token_s))
            engine.end(_ns(record, record.total_s))
        request.end(_ns(record, record.total_s))

    def close(self) -> None:
        """Send what is left, unless that takes long: nobody waits for a collector that does not answer."""
        closing = threading.Thread(target=self._provider.shutdown, name="tracing-close", daemon=True)
        closing.start()
        closing.join(_CLOSE_S)


def tracing_from_environment(environment: Mapping[str, str] = os.environ) -> Tracing | None:
    """Return the tracing that the environment asks for, by OpenTelemetry's own variables; None for none."""
    asked = next((name for name in _ENDPOINTS if environment.get(name)), None)
    exporters = environment.get("OTEL_TRACES_EXPORTER", "")
    if asked is None and exporters == "otlp":
        asked = "OTEL_TRACES_EXPORTER"
    if asked is None or exporters == "none" or environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    if not all(_installed(name) for name in ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")):
        logger.warning(
            "%s is set, but OpenTelemetry is not installed here, so no traces are sent: "
            "pip install 'conduit-gpu-server[telemetry]'",
            asked,
        )
        return None
    return Tracing()


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _attributes(record: RequestRecord) -> dict[str, Any]:
    """Return what is known, under the names of the semantic conventions."""
    found = {
        "http.request.method": record.method,
        "http.route": record.route,
        "http.response.status_code": record.status,
        "error.type": record.code,
        "gen_ai.operation.name": _OPERATIONS.get(record.route),
        "gen_ai.request.model": record.model or None,
        "gen_ai.response.finish_reasons": None if record.finish is None else [record.finish],
        "gen_ai.usage.input_tokens": record.prompt_tokens,
        "gen_ai.usage.output_tokens": record.completion_tokens,
        "conduit.request.id": record.id,
    }
    return {name: value for name, value in found.items() if value is not None}


def _ns(record: RequestRecord, after_s: float) -> int:
    return int((record.began_at + after_s) * 1e9)
