"""One trace from a block's call to the engine, collected as any OpenTelemetry collector would."""

from __future__ import annotations

import gzip
import itertools
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PROGRAM = """
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)

import sys
from conduit import LMLite, ModelConfig

lm = LMLite(ModelConfig(sys.argv[1], max_model_len=512))

@lm.block
def sort(message: str) -> bool:
    '''Is this urgent?'''

with lm:
    sort("unspeakable-prompt")
provider.shutdown()
"""


class Collector:
    """Takes OTLP over HTTP and keeps the spans."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, object]] = []
        self.raw = b""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                outer.raw += body
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    names = {each.key: each.value.string_value for each in resource.resource.attributes}
                    for scope in resource.scope_spans:
                        outer.spans += [(names["service.name"], span) for span in scope.spans]
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def of_request(self, route: str):
        """The spans of the trace in which a request of that route is, by name; None until they are all here."""
        requests = [span for _, span in self.spans if span.name == f"POST {route}"]
        if not requests:
            return None
        found = {span.name: span for _, span in self.spans if span.trace_id == requests[0].trace_id}
        return found if {"queue", "engine"} <= set(found) else None


def attributes(span) -> dict[str, object]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


@pytest.mark.timeout(120)
def test_block_request_attempt_and_engine_are_one_trace(folder, tmp_path, wait_until, monkeypatch) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        subprocess.run([sys.executable, program, str(folder)], check=True, timeout=100, cwd=tmp_path)
        spans = wait_until(lambda: collector.of_request("/v1/chat/completions"), "the spans")
        request = spans["POST /v1/chat/completions"]
        chain = [spans["block sort"], spans[f"chat {folder}"], spans["attempt"], request, spans["engine"]]
        assert not chain[0].parent_span_id
        for parent, child in itertools.pairwise(chain):
            assert child.parent_span_id == parent.span_id, (parent.name, child.name)
            assert child.trace_id == parent.trace_id
            assert parent.start_time_unix_nano <= child.start_time_unix_nano
        assert spans["queue"].parent_span_id == request.span_id
        told = attributes(request)
        assert told["gen_ai.operation.name"] == "chat"
        assert told["gen_ai.request.model"] == str(folder)
        assert told["gen_ai.usage.output_tokens"] > 0
        assert told["http.response.status_code"] == 200
        assert {name for name, span in collector.spans if span is request} == {"conduit-gpu-server"}
        assert b"unspeakable" not in collector.raw


def test_a_collector_that_is_not_there_delays_nothing(start, model, monkeypatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    one = start(models=[model()]).loaded()
    with one.client() as client:
        for _ in range(3):
            client.chat.completions.create(
                model="random", messages=[{"role": "user", "content": "hi"}], max_tokens=2
            )
    began = time.monotonic()
    one.process.terminate()
    assert one.exit_code() == 0
    assert time.monotonic() - began < 15


def test_without_its_packages_a_server_says_so_and_serves(start, model, monkeypatch, tmp_path: Path) -> None:
    # Python imports this file at its start, before anything else: it hides the SDK as if it were not installed.
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['opentelemetry.sdk'] = None")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    one = start(models=[model()]).loaded()
    assert one.get("/ready").status_code == 200
    assert "conduit-gpu-server[telemetry]" in one.log
    assert "OTEL_EXPORTER_OTLP_ENDPOINT is set" in one.log
