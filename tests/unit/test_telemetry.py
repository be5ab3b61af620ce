"""Spans: made where the program has set a provider, absent and cheap otherwise."""

from __future__ import annotations

import subprocess
import sys

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from conduit import LMLite, mdl, override, telemetry
from conduit.errors import OutputInvalid
from conduit.testing import FakeLM


@pytest.fixture
def spans(monkeypatch):
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    # The program's own call is trace.set_tracer_provider, which works once a process.
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


def named(exporter, name):
    return next(span for span in exporter.get_finished_spans() if span.name == name)


def test_without_a_provider_nothing_is_made_and_nothing_is_sent() -> None:
    with telemetry.span("work", x=1) as span:
        span.set(y=2)
        assert telemetry.trace_headers() == {}
    assert telemetry.span("a") is telemetry.span("b")


def test_conduit_does_not_load_opentelemetry() -> None:
    code = (
        "import sys, conduit; from conduit import telemetry\n"
        "with telemetry.span('x'): assert telemetry.trace_headers() == {}\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=50)


def test_the_headers_carry_the_current_span(spans) -> None:
    with telemetry.span("outer"):
        with telemetry.span("inner"):
            header = telemetry.trace_headers()["traceparent"]
        outer_header = telemetry.trace_headers()["traceparent"]
    inner, outer = named(spans, "inner"), named(spans, "outer")
    assert inner.parent.span_id == outer.context.span_id
    assert header.split("-")[1:3] == [f"{inner.context.trace_id:032x}", f"{inner.context.span_id:016x}"]
    assert outer_header.split("-")[2] == f"{outer.context.span_id:016x}"


def test_an_error_is_told_by_its_code_and_never_by_its_text(spans) -> None:
    with pytest.raises(OutputInvalid), telemetry.span("typed"):
        raise OutputInvalid("the model wrote: private words", raw="private words", errors=())
    with pytest.raises(ValueError), telemetry.span("plain"):
        raise ValueError("private words")
    assert named(spans, "typed").attributes["error.type"] == OutputInvalid.code
    assert named(spans, "plain").attributes["error.type"] == "ValueError"
    for span in spans.get_finished_spans():
        assert not span.status.is_ok
        assert "private" not in span.to_json()


def test_a_span_that_lasts_is_current_only_where_it_is_entered(spans) -> None:
    def pieces():
        with telemetry.span("stream").lasting() as span:
            with span.inside(), telemetry.span("first"):
                pass
            yield 1
            yield 2

    running = pieces()
    next(running)
    with telemetry.span("consumer"):
        pass
    running.close()
    stream = named(spans, "stream")
    assert named(spans, "first").parent.span_id == stream.context.span_id
    assert named(spans, "consumer").parent is None
    assert stream.end_time >= named(spans, "consumer").end_time


@pytest.mark.parametrize("stream", [False, True])
def test_a_block_call_is_a_span_around_its_model_request(spans, stream: bool) -> None:
    lm = LMLite("m")

    if stream:

        @lm.block
        def triage(message: str) -> mdl.Stream[str]:
            """Sort it."""

    else:

        @lm.block
        def triage(message: str) -> str:
            """Sort it."""

    with override(lm=FakeLM({"triage": "billing"})):
        assert list(triage("secret message")) if stream else triage("secret message")
    block, request = named(spans, "block triage"), named(spans, "chat m")
    assert request.parent.span_id == block.context.span_id
    assert request.attributes["gen_ai.request.model"] == "m"
    assert request.attributes["gen_ai.usage.output_tokens"] >= 0
    assert "secret" not in block.to_json() + request.to_json()
    assert "billing" not in block.to_json() + request.to_json()
