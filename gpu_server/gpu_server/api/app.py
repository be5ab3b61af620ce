"""The routes: probes, metrics, models, chat, completions, embeddings, batches. Nothing is decided here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gpu_server.access.auth import BearerAuth
from gpu_server.access.connection import Connections
from gpu_server.access.gate import Gate
from gpu_server.access.rate_limit import RateLimit
from gpu_server.access.record import RequestRecord
from gpu_server.access.watchdog import Watchdog
from gpu_server.api.batch.batch import Working
from gpu_server.api.batch.batches import Batches
from gpu_server.api.batch.endpoint import BatchEndpoint
from gpu_server.api.chat import ChatEndpoint
from gpu_server.api.completions import CompletionsEndpoint
from gpu_server.api.embeddings import EmbeddingsEndpoint
from gpu_server.api.generation import Backing
from gpu_server.api.models import ModelsEndpoint
from gpu_server.errors import ApiError, internal
from gpu_server.schemas.check import SchemaCheck
from gpu_server.serving.door_metrics import DoorCollector
from gpu_server.serving.metrics import CONTENT_TYPE, Metrics
from gpu_server.serving.served_models import ServedModels
from gpu_server.settings import ServerSettings
from gpu_server.tracing import Tracing

RESULTS_FACTOR = 4
"""How much larger than its body a batch's results may be."""
KEPT_FACTOR = 8
"""How much batches that have ended may keep, in largest bodies."""


class App:
    """The ASGI application, with what it has to put away at its end."""

    def __init__(self, gate: Gate, schemas: SchemaCheck, batches: Batches) -> None:
        self._gate = gate
        self._schemas = schemas
        self._batches = batches
        self._tidying: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if self._tidying is None:
            self._tidying = asyncio.create_task(self._batches.keep_tidy())
        await self._gate(scope, receive, send)

    async def close(self) -> None:
        """End the batches and the compiler of schemas."""
        if self._tidying is not None:
            self._tidying.cancel()
            await asyncio.wait([self._tidying])
        await self._batches.close()
        await self._schemas.close()


def make_app(
    models: ServedModels,
    settings: ServerSettings,
    *,
    token: SecretStr,
    watchdog: Watchdog,
    connections: Connections | None = None,
    draining: Callable[[], bool] = lambda: False,
    tracing: Tracing | None = None,
) -> App:
    """Return the application; whoever ends the process closes it.

    Args:
        models: What is served; loading goes on beside it.
        settings: The limits.
        token: What callers must show; several stand with commas between them.
        watchdog: Told of every request that is use.
        connections: The web server's, for the metrics.
        draining: Whether nothing new is taken any more.
        tracing: Told of every request that has ended.
    """

    def ended(record: RequestRecord) -> None:
        metrics.ended(record)
        if tracing is not None:
            tracing.ended(record)

    rate_limit = RateLimit(settings.requests_per_s, settings.requests_burst)
    metrics = Metrics(models, [DoorCollector(rate_limit, connections)])
    schemas = SchemaCheck()
    backing = Backing(models, schemas)
    answering: dict[str, ChatEndpoint | CompletionsEndpoint | EmbeddingsEndpoint] = {
        "/v1/chat/completions": ChatEndpoint(backing),
        "/v1/completions": CompletionsEndpoint(backing),
        "/v1/embeddings": EmbeddingsEndpoint(backing),
    }
    working = Working(
        answers={url: endpoint.answer for url, endpoint in answering.items()},
        workers=lambda: max(_workers(model.admission.concurrency) for model in models),
        ended=ended,
        busy=watchdog.busy,
        max_result_bytes=RESULTS_FACTOR * settings.max_batch_bytes,
    )
    batches = Batches(
        working,
        retention_s=settings.batch_retention_s,
        max_kept_bytes=KEPT_FACTOR * settings.max_batch_bytes,
    )
    starlette = Starlette(
        routes=[
            *_probes(models, metrics, draining),
            *_listing(models),
            *(
                Route(url, _function(endpoint), methods=["POST"], name=url)
                for url, endpoint in answering.items()
            ),
            *_batch(BatchEndpoint(batches, settings.max_body_bytes)),
        ],
        exception_handlers={HTTPException: _http_error, ApiError: _api_error, Exception: _broke},
    )
    starlette.router.redirect_slashes = False
    gate = Gate(
        starlette,
        settings=settings,
        auth=BearerAuth(token),
        rate_limit=rate_limit,
        watchdog=watchdog,
        draining=draining,
        ended=ended,
    )
    return App(gate, schemas, batches)


def _workers(concurrency: int) -> int:
    """Return how many rows of a batch are worked on at a time: a full engine, and some that wait for a place."""
    return concurrency + max(2, concurrency // 4)


def _function(endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Return it as a function: of an object, Starlette takes it to speak ASGI itself."""

    async def serve(request: Request) -> Response:
        return await endpoint(request)

    return serve


def _probes(models: ServedModels, metrics: Metrics, draining: Callable[[], bool]) -> list[Route]:
    async def live(_: Request) -> Response:
        return JSONResponse({"status": "live"})

    async def ready(_: Request) -> Response:
        is_ready = models.ready and not draining()
        body = {
            "ready": is_ready,
            "draining": draining(),
            "models": [model.describe() for model in models],
        }
        headers = {} if is_ready else {"retry-after": "2"}
        return JSONResponse(body, status_code=200 if is_ready else 503, headers=headers)

    async def scrape(_: Request) -> Response:
        return Response(metrics.render(), headers={"content-type": CONTENT_TYPE})

    return [Route("/live", live), Route("/ready", ready), Route("/metrics", scrape)]


def _listing(models: ServedModels) -> list[Route]:
    listed = ModelsEndpoint(models)

    async def openapi(_: Request) -> Response:
        from gpu_server.api.openapi import document  # some megabytes that few servers need
        from gpu_server.api.openapi_limits import Served

        served = [
            Served(model.settings.model_id, model.settings.max_model_len, model.engine.abilities)
            for model in models
        ]
        return JSONResponse(document(served))

    return [
        Route("/openapi.json", openapi),
        Route("/v1/models", listed.every),
        Route("/v1/models/{model_id:path}", listed.one),
    ]


def _batch(batch: BatchEndpoint) -> list[Route]:
    return [
        Route("/v1/batch", batch.post, methods=["POST"]),
        Route("/v1/batch/{batch_id}", batch.one, methods=["GET", "DELETE"]),
        Route("/v1/batch/{batch_id}/status", batch.status),
    ]


async def _http_error(request: Request, error: Exception) -> Response:
    """Write Starlette's own refusals (no such route, wrong method) in OpenAI's form."""
    assert isinstance(error, HTTPException)
    where = f"{request.method} {request.url.path[:200]}"
    code = {404: "no_such_route", 405: "method_not_allowed"}.get(error.status_code, "refused")
    request.scope["state"]["record"].code = code
    refusal = ApiError(error.status_code, f"{where}: {error.detail}.", code=code, headers=error.headers)
    return refusal.response()


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    request.scope["state"]["record"].code = error.code
    return error.response()


async def _broke(_: Request, __: Exception) -> Response:
    """Tell the caller; the gate, to which the exception goes on, tells the log."""
    return internal().response()
