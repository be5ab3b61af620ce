"""What must be before an engine is made: a driver that its CUDA accepts, then the model's files on this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import partial

from gpu_server.engines import driver
from gpu_server.serving.served_model import Prepare
from gpu_server.settings import ModelSettings, ServerSettings
from gpu_server.weights.base import Progress
from gpu_server.weights.cache import Cache, default_folder
from gpu_server.weights.download import Downloads

CUDA_VARIABLE = "CUDA_VERSION"
"""Set by NVIDIA's images, and so by all that are built on them."""
_ENGINES_CUDA = {"sglang": "13.0", "vllm": "13.0"}
"""Of the pinned versions."""


def preparation(settings: ServerSettings) -> Prepare:
    """Return what prepares a model of these settings."""
    return partial(_prepare, Downloads(Cache(settings.model_cache or default_folder())))


async def _prepare(downloads: Downloads, model: ModelSettings, progress: Progress) -> ModelSettings:
    """Return the model's settings with its folder.

    Raises:
        UnfitHost: The driver is too old.
        LoadError: The files cannot be had.
    """
    await check_driver(model)
    if model.path is not None or model.engine == "openai":
        return model
    return model.model_copy(update={"path": await downloads.fetch(model, progress)})


async def check_driver(model: ModelSettings, environment: Mapping[str, str] = os.environ) -> None:
    """Compare the driver with what the engine needs, where there is one and its need is known.

    Raises:
        UnfitHost: It is too old.
    """
    if model.engine not in _ENGINES_CUDA:
        return
    least, cuda = model.needs_driver, None
    if least is None:
        cuda = _cuda(model, environment)
        if cuda is None:
            return
        least = driver.least_for(cuda)
    if (found := await driver.installed()) is not None:
        driver.require(found, least, cuda)


def _cuda(model: ModelSettings, environment: Mapping[str, str]) -> str | None:
    """Return the CUDA version that the engine comes with; None for an environment of the operator's own."""
    if found := re.match(r"\d+\.\d+", environment.get(CUDA_VARIABLE, "")):
        return found[0]
    return _ENGINES_CUDA[model.engine] if model.engine_command is None else None
