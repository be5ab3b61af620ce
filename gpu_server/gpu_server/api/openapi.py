"""`/openapi.json`: a true document of the routes, made from the models that check the requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic.json_schema import models_json_schema

from gpu_server import __version__
from gpu_server.api import answer_forms
from gpu_server.api.batch.lines import BatchLine
from gpu_server.api.chat_request import ChatRequest
from gpu_server.api.completions_request import CompletionsRequest
from gpu_server.api.embeddings import EmbeddingsRequest
from gpu_server.api.openapi_limits import Served, narrow_chat, narrow_completions, narrow_embeddings

_REF = "#/components/schemas/"
_REQUESTS = (ChatRequest, CompletionsRequest, EmbeddingsRequest, BatchLine)
_ANSWERS = (
    answer_forms.ErrorAnswer,
    answer_forms.ChatCompletion,
    answer_forms.TextCompletion,
    answer_forms.EmbeddingList,
    answer_forms.ModelCard,
    answer_forms.ModelList,
    answer_forms.BatchState,
    answer_forms.BatchResult,
    answer_forms.Ready,
    answer_forms.Live,
)
_EVERYWHERE = {
    401: "No token, or a wrong one.",
    429: "Too many requests by this token; `retry-after` says when there is room.",
    431: "The request's headers are too large.",
    500: "The server broke.",
    503: "The server is about to end; another one may answer.",
}
_WITH_BODY = {
    400: "The body cannot be carried out; `param` names what is wrong.",
    408: "The body came too slowly.",
    413: "The body is too large.",
}
_GENERATING = {
    404: "The model is not served here.",
    429: "The queue is full, or too many requests by this token; `retry-after` says when there is room.",
    503: "The model is not ready or lost its engine, or the server is about to end; another one may answer.",
}
_NARROWED = (
    ("/v1/chat/completions", narrow_chat, ChatRequest),
    ("/v1/completions", narrow_completions, CompletionsRequest),
    ("/v1/embeddings", narrow_embeddings, EmbeddingsRequest),
)
_NO_BATCH = {404: "There is no such batch."}


def document(served: Sequence[Served]) -> dict[str, Any]:
    """Return the document.

    Args:
        served: The models.
    """
    schemas = _schemas()
    paths = _paths()
    for path, narrow, request in _NARROWED:
        if not narrow(schemas[request.__name__], served):
            del paths[path]  # no model here answers it
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "gpu_server",
            "version": __version__,
            "description": "Open language models over the OpenAI protocol, in batches.",
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _schemas() -> dict[str, Any]:
    wanted: list[Any] = [(form, "validation") for form in (*_REQUESTS, *_ANSWERS)]
    schemas: dict[str, Any] = models_json_schema(wanted, ref_template=_REF + "{model}")[1]["$defs"]
    return schemas


def _paths() -> dict[str, Any]:
    batch_id = _parameter("batch_id", "path", {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"})
    after = _parameter("after", "query", {"type": "integer", "minimum": 0, "maximum": 999_999_999})
    named = _parameter("x-batch-id", "header", {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"})
    model_id = _parameter("model_id", "path", {"type": "string", "minLength": 1})
    # Of text in lines OpenAPI 3.1 cannot say what a line is.
    results = {"application/x-ndjson": {"x-line": {"$ref": _REF + "BatchResult"}}}
    rows = {"application/x-ndjson": {"x-line": {"$ref": _REF + "BatchLine"}}}
    bad_query = {400: "The query is wrong."}
    return {
        "/live": {"get": _operation("Whether the process runs", _json("Live"), {}, open_to_all=True)},
        "/ready": {
            "get": _operation(
                "Whether every model answers",
                _json("Ready"),
                {**_EVERYWHERE},
                others={"503": {"description": "Some model does not answer.", "content": _json("Ready")}},
            )
        },
        "/metrics": {
            "get": _operation(
                "What Prometheus scrapes", {"text/plain": {"schema": {"type": "string"}}}, _EVERYWHERE
            )
        },
        "/openapi.json": {
            "get": _operation(
                "This document", {"application/json": {"schema": {"type": "object"}}}, _EVERYWHERE
            )
        },
        "/v1/models": {"get": _operation("The models", _json("ModelList"), _EVERYWHERE)},
        "/v1/models/{model_id}": {
            "parameters": [model_id],
            "get": _operation(
                "One model", _json("ModelCard"), _EVERYWHERE | {404: "The model is not served here."}
            ),
        },
        "/v1/chat/completions": {
            "post": _generating("Answer a chat", "ChatRequest", "ChatCompletion", streams=True)
        },
        "/v1/completions": {
            "post": _generating("Go on with a text", "CompletionsRequest", "TextCompletion", streams=True)
        },
        "/v1/embeddings": {
            "post": _generating(
                "Turn texts into vectors", "EmbeddingsRequest", "EmbeddingList", streams=False
            )
        },
        "/v1/batch": {
            "post": {
                **_operation(
                    "Answer many requests, one a line",
                    results,
                    _EVERYWHERE | _WITH_BODY | {409: "A known custom_id asks for something else."},
                ),
                "parameters": [named, after],
                "requestBody": {"required": True, "content": rows},
            }
        },
        "/v1/batch/{batch_id}": {
            "parameters": [batch_id],
            "get": {
                **_operation("The results of a batch", results, _EVERYWHERE | _NO_BATCH | bad_query),
                "parameters": [after],
            },
            "delete": _operation("Stop a batch, or forget it", _json("BatchState"), _EVERYWHERE | _NO_BATCH),
        },
        "/v1/batch/{batch_id}/status": {
            "parameters": [batch_id],
            "get": _operation("The state of a batch", _json("BatchState"), _EVERYWHERE | _NO_BATCH),
        },
    }


def _generating(summary: str, request: str, answer: str, *, streams: bool) -> dict[str, Any]:
    content = _json(answer)
    if streams:
        content["text/event-stream"] = {}  # what an event holds, OpenAPI 3.1 has no words for
    operation = _operation(summary, content, _EVERYWHERE | _WITH_BODY | _GENERATING)
    return {**operation, "requestBody": {"required": True, "content": _json(request)}}


def _operation(
    summary: str,
    content: dict[str, Any],
    refusals: Mapping[int, str],
    *,
    others: Mapping[str, Any] | None = None,
    open_to_all: bool = False,
) -> dict[str, Any]:
    answers: dict[str, Any] = {"200": {"description": "Success.", "content": content}}
    for status, why in sorted(refusals.items()):
        answers[str(status)] = {"description": why, "content": _json("ErrorAnswer")}
    operation: dict[str, Any] = {"summary": summary, "responses": answers | dict(others or {})}
    return {**operation, "security": []} if open_to_all else operation


def _json(form: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REF + form}}}


def _parameter(name: str, place: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": schema}
