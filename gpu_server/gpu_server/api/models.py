"""`/v1/models`: what is served here, with what it can do and how long its requests may be."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gpu_server import errors
from gpu_server.serving.served_model import ServedModel
from gpu_server.serving.served_models import ServedModels


class ModelsEndpoint:
    """Tells of the models, whether they answer now or not.

    Args:
        models: The models.
    """

    def __init__(self, models: ServedModels) -> None:
        self._models = models

    async def every(self, _: Request) -> Response:
        """Answer with all of them."""
        return JSONResponse({"object": "list", "data": [_card(model) for model in self._models]})

    async def one(self, request: Request) -> Response:
        """Answer with one of them."""
        wanted = request.path_params["model_id"]
        for model in self._models:
            if model.settings.model_id == wanted:
                return JSONResponse(_card(model))
        raise errors.model_not_found(wanted, [model.settings.model_id for model in self._models])


def _card(model: ServedModel) -> dict[str, Any]:
    settings = model.settings
    return {
        "id": settings.model_id,
        "object": "model",
        "created": model.created,
        "owned_by": "conduit",
        "max_model_len": settings.max_model_len,
        "engine": settings.engine,
        "abilities": asdict(model.engine.abilities) if model.answers else None,
    }
