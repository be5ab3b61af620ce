"""Which engine answers for a model, and where its log goes. An engine is imported only where one asks for it."""

from __future__ import annotations

import re
from pathlib import Path

from gpu_server.engines.base import Engine
from gpu_server.serving.served_model import MakeEngine
from gpu_server.settings import ModelSettings, ServerSettings


def engine_maker(settings: ServerSettings) -> MakeEngine:
    """Return what makes the engine of a model."""

    def make(model: ModelSettings) -> Engine:
        log = log_path(settings, model.model_id)
        match model.engine:
            case "mistralrs":
                from gpu_server.engines.embedded.cpu import processors_each
                from gpu_server.engines.mistralrs import MistralRsEngine

                embedded = [each.path for each in settings.models if each.engine == "mistralrs"]
                return MistralRsEngine(model, log=log, processors=processors_each(embedded))
            case "sglang":
                from gpu_server.engines.sglang import SglangEngine

                return SglangEngine(model, log=log)
            case "vllm":
                from gpu_server.engines.vllm import VllmEngine

                return VllmEngine(model, log=log)
            case "openai":
                from gpu_server.engines.openai import OpenAIEngine

                return OpenAIEngine(model, log=log)

    return make


def log_path(settings: ServerSettings, model_id: str) -> Path | None:
    """Return the file of an engine's own log; None for our stderr."""
    if settings.log_dir is None:
        return None
    settings.log_dir.mkdir(parents=True, exist_ok=True)
    slugs = [re.sub(r"[^A-Za-z0-9._-]+", "-", each.model_id).strip(".-") for each in settings.models]
    position = [each.model_id for each in settings.models].index(model_id)
    slug = slugs[position] or "model"
    return settings.log_dir / (f"{slug}.log" if slugs.count(slug) == 1 else f"{slug}.{position}.log")
