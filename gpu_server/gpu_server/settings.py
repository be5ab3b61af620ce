"""The configuration file and the token: read once at the start, passed down as values.

The configuration is JSON, in a file or in an environment variable. The token is never in it: it comes from the
environment, so that it shows in no argument list and in no file on disk.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

CONFIG_VARIABLE = "GPU_SERVER_CONFIG"
TOKEN_VARIABLE = "GPU_SERVER_TOKEN"  # noqa: S105  (a name, not a secret)
TOKEN_SEPARATOR = ","  # noqa: S105  (a sign, not a secret)
MIN_TOKEN_CHARS = 8
EXPIRY_VARIABLE = "CONDUIT_EXPIRES_AT"

Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0)]


class SettingsError(Exception):
    """The configuration or the token cannot be used; the text says why and what to do."""


class ModelSettings(BaseModel):
    """One model to serve."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model_id: Annotated[str, Field(min_length=1, max_length=256)]
    path: Path | None = None
    """Folder in the Hugging Face layout; None takes `model_id` from the hub into `model_cache`."""
    source: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """Id on the hub of what is loaded under the name `model_id`; None for `model_id` itself."""
    engine: Literal["mistralrs", "sglang", "vllm", "openai"] = "mistralrs"
    task: Literal["generate", "embed"] = "generate"
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
    """The engine's name of it, for example "q8_0" or "awq"; None for what the checkpoint has."""
    memory_fraction: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of the GPU's memory, in the engine's own meaning of the word; None for the engine's default."""
    tensor_parallel: Positive = 1
    """GPUs that hold the model together."""
    engine_command: Annotated[list[str], Field(min_length=1)] | None = None
    """How the engine's program is started, for an engine in an environment of its own; its flags are added."""
    engine_args: list[str] = []
    """Further flags for the engine's program."""
    url: str | None = None
    """Base URL, ending in /v1, of the server that the engine "openai" attaches to."""
    api_key_variable: str | None = None
    """Environment variable that holds the key of that server."""
    needs_driver: Annotated[str, Field(pattern=r"^\d+(\.\d+)*$")] | None = None
    """Least NVIDIA driver; None for what the engine's CUDA needs, "0" for any."""
    startup_timeout_s: Seconds = 600
    """How long loading may take, and how long a download may make no progress."""
    stall_timeout_s: Seconds = 120
    """How long an engine with work may show no progress before it counts as dead and is replaced."""


class HostApi(BaseModel):
    """How this machine is given back from inside: the API of whoever rents it out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["runpod"]
    url: Annotated[str, Field(pattern="^https?://")] = "https://api.runpod.io"
    """Base URL, without a path."""
    id_variable: str = "RUNPOD_POD_ID"
    """Environment variable with the machine's id there."""
    key_variable: str = "RUNPOD_API_KEY"
    """Environment variable with a key that may end it."""


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
    expires_at: Seconds | None = None
    """Unix time of the end, whatever happens; the environment may name an earlier one."""
    on_expiry: Literal["exit", "end_host"] = "exit"
    """What a limit that is reached ends: this process, or the machine, through `host_api`."""
    host_api: HostApi | None = None
    model_cache: Path | None = None
    """Folder of downloaded models, in the hub's own layout; None for the hub's default one."""
    max_body_bytes: Positive = 4 * 1024 * 1024
    max_batch_bytes: Positive = 64 * 1024 * 1024
    """Largest body of `POST /v1/batch`."""
    batch_retention_s: Seconds = 3600
    """How long a finished batch's results can be fetched again."""
    max_connections: Positive = 2048
    head_timeout_s: Seconds = 10
    """How long a connection may take to send the head of a request."""
    body_timeout_s: Seconds = 30
    write_timeout_s: Seconds = 60
    """How long a reader of a stream may take nothing."""
    requests_per_s: Annotated[float, Field(gt=0)] | None = None
    """Most requests a second by one token, in the long run; None for no limit."""
    requests_burst: Positive = 100
    """How many may come at once under that limit."""
    tls_certificate: Path | None = None
    """PEM file; with `tls_key` the server speaks HTTPS only."""
    tls_key: Path | None = None
    drain_s: Seconds = 5
    """How long what runs may go on after the signal to end."""
    log_dir: Path | None = None
    """Folder of the engines' own logs; None writes them to stderr."""
    models: Annotated[list[ModelSettings], Field(min_length=1)]

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        ids = [model.model_id for model in self.models]
        twice = sorted({model_id for model_id in ids if ids.count(model_id) > 1})
        if twice:
            raise ValueError(f"model_id given twice: {', '.join(twice)}")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together: give both, or neither")
        if self.on_expiry == "end_host" and self.host_api is None:
            raise ValueError('on_expiry="end_host" needs host_api: whom to ask to end the machine')
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
    return _parsed(text, f"the configuration {path}")


def settings_from_environment(environment: Mapping[str, str] = os.environ) -> ServerSettings:
    """Read the configuration from its variable, for a container that mounts no file.

    Raises:
        SettingsError: There is none, it is not JSON, or it has a wrong or unknown field.
    """
    text = environment.get(CONFIG_VARIABLE, "")
    if not text:
        raise SettingsError(f"no configuration: give --config FILE, or its JSON in {CONFIG_VARIABLE}")
    return _parsed(text, f"the configuration in {CONFIG_VARIABLE}")


def _parsed(text: str, source: str) -> ServerSettings:
    try:
        return ServerSettings.model_validate_json(text)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc']) or 'file'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise SettingsError(f"{source} is not valid: {faults}") from error


def token_from_environment(environment: Mapping[str, str] = os.environ) -> SecretStr:
    """Return the bearer tokens, of which callers must show one: a single one, or several with commas between them.

    Raises:
        SettingsError: There is none, one is too short to be one, or one is given twice.
    """
    given = environment.get(TOKEN_VARIABLE, "")
    if not given:
        raise SettingsError(f"no bearer token: set the environment variable {TOKEN_VARIABLE} before starting")
    tokens = given.split(TOKEN_SEPARATOR)
    if not all(_usable(token) for token in tokens):
        raise SettingsError(
            f"{TOKEN_VARIABLE} is no usable token: it needs at least {MIN_TOKEN_CHARS} printable ASCII characters "
            "without spaces, for example from `openssl rand -hex 24`; several tokens stand with commas between them"
        )
    if len(set(tokens)) < len(tokens):
        raise SettingsError(f"{TOKEN_VARIABLE} has a token twice; each caller's must be its own")
    return SecretStr(given)


def expiry(settings: ServerSettings, environment: Mapping[str, str] = os.environ) -> float | None:
    """Return the unix time of the end: the configuration's or the environment's, whichever comes first.

    Raises:
        SettingsError: The environment's is no number.
    """
    given = environment.get(EXPIRY_VARIABLE, "")
    try:
        moments = [moment for moment in (settings.expires_at, float(given) if given else None) if moment]
    except ValueError as error:
        raise SettingsError(f"{EXPIRY_VARIABLE} is no unix time: {given[:40]!r}") from error
    return min(moments, default=None)


def _usable(token: str) -> bool:
    return len(token) >= MIN_TOKEN_CHARS and token.isascii() and token.isprintable() and " " not in token
