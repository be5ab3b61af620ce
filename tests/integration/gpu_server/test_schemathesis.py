"""Schemathesis reads the server's own document and tries what it says, and what it forbids, on a real server."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import hypothesis
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis import GenerationMode

import conduit

TOKEN = "integration-token"
TINY = Path(conduit.__file__).parent / "lmlite" / "tiny"
MAX_TOKENS = 6
OPERATIONS = [
    "GET /live",
    "GET /ready",
    "GET /metrics",
    "GET /v1/models",
    "GET /v1/models/{model_id}",
    "POST /v1/chat/completions",
    "POST /v1/completions",
    "POST /v1/batch",
    "GET /v1/batch/{batch_id}",
    "DELETE /v1/batch/{batch_id}",
    "GET /v1/batch/{batch_id}/status",
]
SAYING_SOMETHING = [
    label for label in OPERATIONS if label.startswith("POST") or label == "GET /v1/batch/{batch_id}"
]
"""Those with a body or a parameter in the query: only there can a request be wrong."""


@schemathesis.serializer("application/x-ndjson")
def lines(_: Any, value: Any) -> Any:
    """A body as it is: a line that is no row is answered by a line."""
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.fixture(scope="module")
def document(serve) -> Any:
    model = {
        "model_id": "conduit/tiny",
        "path": str(TINY),
        "max_model_len": 1400,
        "max_model_concurrency": 16,
    }
    with serve(models=[model]) as server:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json", headers=headers)

        @schema.auth()
        class Token:
            def get(self, case: Any, context: Any) -> str:
                return TOKEN

            def set(self, case: Any, data: str, context: Any) -> None:
                case.headers = {**(case.headers or {}), "Authorization": f"Bearer {data}"}

        schema.config.generation.update(with_security_parameters=False)
        yield schema
        assert server.process.poll() is None, server.log
        assert "broke" not in server.log


def test_the_document_has_every_route(document) -> None:
    found = [each.ok().label for each in document.get_all_operations()]
    assert sorted(found) == sorted(OPERATIONS)  # embeddings are no ability of this model


@pytest.mark.parametrize(
    ("label", "mode"),
    [
        *((label, GenerationMode.POSITIVE) for label in OPERATIONS),
        *((label, GenerationMode.NEGATIVE) for label in SAYING_SOMETHING),
    ],
)
def test_the_server_does_what_its_document_says(document, label: str, mode: GenerationMode) -> None:
    operation = next(each.ok() for each in document.get_all_operations() if each.ok().label == label)

    @hypothesis.settings(
        max_examples=25, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Any) -> None:
        if isinstance(case.body, dict):
            _keep_short(case.body)
            if mode is GenerationMode.POSITIVE:
                _within_words(case.body)
        case.call_and_validate()

    run()


def _keep_short(body: dict[str, Any]) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        if type(body.get(name)) is int:
            body[name] = min(body[name], MAX_TOKENS)


def _within_words(body: dict[str, Any]) -> None:
    """What the document can only say in words: a schema must be one that a grammar can enforce."""
    wanted = body.get("response_format")
    if isinstance(wanted, dict) and wanted["type"] == "json_schema":
        wanted["json_schema"]["schema"] = {"type": "object", "additionalProperties": False}
