"""The configuration file and the token: read once at the start, passed down as values.

The file is JSON. The token is never in it: it comes from the environment, so that it shows in no argument list and
in no file on disk.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

TOKEN_VARIABLE = "GPU_SERVER_TOKEN"  # noqa: S105  (a name, not a secret)
MIN_TOKEN_CHARS = 8

Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0)]


class SettingsError(Exception):
    """The configuration or the token cannot be used; the text says why and what to do."""


class ModelSettings(BaseModel):
    """One model to serve."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model_id: Annotated[str, Field(min_length=1, max_length=256)]
    path: Path | None = None
    """Folder in the Hugging Face layout; None takes `model_id` from the hub."""
    engine: Literal["mistralrs"] = "mistralrs"
    max_model_len: Positive = 1024
    """Prompt and completion tokens of one request together."""
    max_model_concurrency: Positive = 1
    """Requests in the engine at a time."""
    model_batch_execute_timeout_ms: Annotated[int, Field(ge=0, le=600_000)] = 0
    """How long an idle model holds its first request for others; 0 never holds."""
    max_queue: Annotated[int, Field(ge=0)] = 256
    """Requests that may wait beyond those that run."""
    dtype: Literal["f32", "bf16", "f16", "auto"] | None = None
    """None is f32 on a CPU: the quickest for small models, twice the memory of bf16."""
    revision: str | None = None
    """Commit, tag or branch on the hub."""
    quantization: str | None = None
    """In-situ quantization by the engine, for example "q8_0"."""


class ServerSettings(BaseModel):
    """The whole server."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    """0 lets the kernel choose; the announce file tells which."""
    announce: Path | None = None
    """Where to write pid, host and port once the socket listens."""
    idle_timeout_s: Seconds | None = None
    max_lifetime_s: Seconds | None = None
    max_body_bytes: Positive = 4 * 1024 * 1024
    models: Annotated[list[ModelSettings], Field(min_length=1)]

    @model_validator(mode="after")
    def _ids_differ(self) -> Self:
        ids = [model.model_id for model in self.models]
        twice = sorted({model_id for model_id in ids if ids.count(model_id) > 1})
        if twice:
            raise ValueError(f"model_id given twice: {', '.join(twice)}")
        return self


def load_settings(path: Path) -> ServerSettings:
    """Read the configuration file.

    Raises:
        SettingsError: It is missing, is not JSON, or has a wrong or unknown field.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read the configuration {path}: {error}") from error
    try:
        return ServerSettings.model_validate_json(text)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc']) or 'file'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise SettingsError(f"the configuration {path} is not valid: {faults}") from error


def token_from_environment(environment: Mapping[str, str] = os.environ) -> SecretStr:
    """Return the bearer token that callers must show.

    Raises:
        SettingsError: There is none, or it is too short to be one.
    """
    token = environment.get(TOKEN_VARIABLE, "")
    if not token:
        raise SettingsError(f"no bearer token: set the environment variable {TOKEN_VARIABLE} before starting")
    if len(token) < MIN_TOKEN_CHARS or not token.isascii() or not token.isprintable() or " " in token:
        raise SettingsError(
            f"{TOKEN_VARIABLE} is no usable token: it needs at least {MIN_TOKEN_CHARS} printable ASCII characters "
            "without spaces, for example from `openssl rand -hex 24`"
        )
    return SecretStr(token)
