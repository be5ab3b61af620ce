"""What a replica's server is started with, from what the user asked for; the provider adds its address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from conduit.errors import ArgumentInvalid
from conduit.lmlite.config import ModelConfig, ResourceConfig
from conduit.lmlite.nodes.model_files import TINY, ModelFiles
from conduit.settings import Settings

_DTYPES = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}  # checkpoints' names to the server's


def server_config(
    config: ResourceConfig,
    models: Sequence[tuple[ModelConfig, ModelFiles]],
    settings: Settings,
    *,
    here: bool = True,
) -> dict[str, Any]:
    """The server's configuration.

    Args:
        config: What is wanted.
        models: The models and their files.
        settings: Files and deadlines of this machine.
        here: The server reads this machine's files.

    Raises:
        ArgumentInvalid: A model is a folder of this machine, and the server runs elsewhere.
    """
    return {
        "idle_timeout_s": config.idle_timeout_s,
        "max_lifetime_s": config.max_lifetime_s,
        "tls_certificate": _text(settings.tls_certificate if here else None),
        "tls_key": _text(settings.tls_key if here else None),
        "models": [_model(model, files, settings, here=here) for model, files in models],
    }


def _model(model: ModelConfig, files: ModelFiles, settings: Settings, *, here: bool) -> dict[str, Any]:
    loaded = settings.model_aliases.get(model.model_id, model.model_id)
    if not here and files.path is not None and loaded != TINY:
        raise ArgumentInvalid(
            f"{loaded} is a folder of this machine, and the replica runs on another.",
            hint="Give the model's id on the Hugging Face hub; the replica downloads it.",
            argument="model_id",
        )
    return {
        "model_id": model.model_id,
        "source": None if loaded == model.model_id or (files.path is not None and here) else loaded,
        "path": _text(files.path if here else None),
        "engine": model.engine,
        "task": model.task,
        "max_model_len": model.max_model_len,
        "max_model_concurrency": model.max_model_concurrency,
        "model_batch_execute_timeout_ms": model.model_batch_execute_timeout_ms,
        "max_queue": model.max_queue,
        "dtype": _DTYPES.get(model.dtype, model.dtype) if model.dtype else None,
        "revision": model.revision,
        "quantization": model.quantization,
        "memory_fraction": model.memory_fraction,
        "tensor_parallel": model.tensor_parallel,
        "engine_command": model.engine_command,
        "engine_args": model.engine_args,
        "url": model.url,
        "api_key_variable": model.api_key_variable,
        "startup_timeout_s": settings.startup_timeout_s,
    }


def _text(value: object | None) -> str | None:
    return None if value is None else str(value)
