"""The routes: `/live`, `/ready`, `/metrics`, `/v1/models`, `/v1/chat/completions`. Nothing is decided here."""

from __future__ import annotations

from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from gpu_server.access.auth import BearerAuth
from gpu_server.access.gate import Gate
from gpu_server.access.watchdog import Watchdog
from gpu_server.api.chat import ChatEndpoint
from gpu_server.errors import ApiError
from gpu_server.serving.metrics import CONTENT_TYPE, Metrics
from gpu_server.serving.served_models import ServedModels


def make_app(models: ServedModels, *, token: SecretStr, watchdog: Watchdog, max_body_bytes: int) -> ASGIApp:
    """Return the ASGI application.

    Args:
        models: What is served; loading goes on beside it.
        token: What callers must show.
        watchdog: Told of every request that is use.
        max_body_bytes: Largest request body.
    """
    metrics = Metrics(models)

    async def live(_: Request) -> Response:
        return JSONResponse({"status": "live"})

    async def ready(_: Request) -> Response:
        status = 200 if models.ready else 503
        states = [model.describe() for model in models]
        headers = {} if models.ready else {"retry-after": "2"}
        return JSONResponse({"ready": models.ready, "models": states}, status_code=status, headers=headers)

    async def list_models(_: Request) -> Response:
        data = [
            {
                "id": model.settings.model_id,
                "object": "model",
                "created": model.created,
                "owned_by": "conduit",
                "max_model_len": model.settings.max_model_len,
            }
            for model in models
        ]
        return JSONResponse({"object": "list", "data": data})

    async def scrape(_: Request) -> Response:
        return Response(metrics.render(), headers={"content-type": CONTENT_TYPE})

    chat = ChatEndpoint(models, metrics)

    async def chat_completions(request: Request) -> Response:
        return await chat(request)

    routes = [
        Route("/live", live),
        Route("/ready", ready),
        Route("/metrics", scrape),
        Route("/v1/models", list_models),
        Route("/v1/chat/completions", chat_completions, methods=["POST"]),
    ]
    starlette = Starlette(
        routes=routes, exception_handlers={HTTPException: _http_error, ApiError: _api_error}
    )
    return Gate(
        starlette,
        auth=BearerAuth(token),
        watchdog=watchdog,
        max_body_bytes=max_body_bytes,
        answered=metrics.answered,
    )


async def _http_error(request: Request, error: Exception) -> Response:
    """Write Starlette's own refusals (no such route, wrong method) in OpenAI's form."""
    assert isinstance(error, HTTPException)
    where = f"{request.method} {request.url.path[:200]}"
    code = {404: "no_such_route", 405: "method_not_allowed"}.get(error.status_code, "refused")
    refusal = ApiError(error.status_code, f"{where}: {error.detail}.", code=code, headers=error.headers)
    return refusal.response()


async def _api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error.response()
