"""SGLang: its own server as a process of ours, one for each model, on 127.0.0.1.

The key of that server goes through a configuration file that only we can read, not through the argument list:
SGLang reads no key from its environment. The flags and routes are those of `PINNED_VERSION`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpu_server.engines.base import Abilities, EngineError, Job
from gpu_server.engines.remote.checks import MAX_LOGPROBS
from gpu_server.engines.remote.dialect import MetricNames, TokenizingDialect
from gpu_server.engines.remote.engine import RemoteEngine
from gpu_server.engines.remote.servers import Launch, OwnServer, Program
from gpu_server.engines.remote.wire import Wire, parse
from gpu_server.settings import ModelSettings

PINNED_VERSION = "0.5.23"
_HEALTH_S = 30.0
_DTYPES = {"f32": "float32", "bf16": "bfloat16", "f16": "float16", "auto": "auto"}
_PROGRAM = Program(
    name="sglang",
    version=PINNED_VERSION,
    command=[sys.executable, "-m", "sglang.launch_server"],
    install=f"Install it with `uv pip install sglang=={PINNED_VERSION}` (Linux, CUDA 13), or use the image "
    f"lmsysorg/sglang:v{PINNED_VERSION}.",
)


class SglangEngine(RemoteEngine):
    """One model on SGLang.

    Args:
        settings: Which model, and its limits.
        log: Where SGLang's own output goes; None is our stderr.
    """

    def __init__(self, settings: ModelSettings, *, log: Path | None = None) -> None:
        def launch(port: int, key: str, folder: Path) -> Launch:
            config = folder / "config.yaml"
            config.write_text(f'api-key: "{key}"\n', encoding="utf-8")
            return Launch(flags(settings, port, config))

        super().__init__(settings, OwnServer(settings, _PROGRAM, launch, log=log), _Dialect())


def flags(settings: ModelSettings, port: int, config: Path) -> list[str]:
    """Return SGLang's argument list for these settings."""
    line = [
        *("--model-path", str(settings.path or settings.model_id)),
        *("--served-model-name", settings.model_id),
        *("--host", "127.0.0.1"),
        *("--port", str(port)),
        *("--config", str(config)),
        *("--context-length", str(settings.max_model_len)),
        *("--max-running-requests", str(settings.max_model_concurrency)),
        *("--tp-size", str(settings.tensor_parallel)),
        "--enable-metrics",
    ]
    if settings.task == "embed":
        line += ["--is-embedding"]
    else:
        line += ["--grammar-backend", "llguidance", "--constrained-json-disable-any-whitespace"]
    if settings.memory_fraction is not None:
        line += ["--mem-fraction-static", str(settings.memory_fraction)]
    if settings.dtype is not None:
        line += ["--dtype", _DTYPES[settings.dtype]]
    if settings.quantization is not None:
        line += ["--quantization", settings.quantization]
    if settings.revision is not None and settings.path is None:
        line += ["--revision", settings.revision]
    return line


class _Dialect(TokenizingDialect):
    name = "sglang"
    metrics = MetricNames(kv_used="sglang:token_usage")
    schema_remedy = "start SGLang with --grammar-backend llguidance, and check engine_args for another one"

    def abilities(self, settings: ModelSettings) -> Abilities:
        """See `Dialect`. Seeds hold only in SGLang's deterministic mode; tool calls need a reader of them."""
        if settings.task == "embed":
            return Abilities(generate=False, embeddings=True)
        given = {argument.partition("=")[0] for argument in settings.engine_args}
        return Abilities(
            completions=True,
            seeds="--enable-deterministic-inference" in given,
            tools="--tool-call-parser" in given,
            logprobs=MAX_LOGPROBS,
        )

    def fields(self, job: Job, request_id: str) -> Mapping[str, Any]:
        """See `Dialect`. The id is what a request is aborted by."""
        return {**super().fields(job, request_id), "rid": request_id}

    async def abort(self, wire: Wire, request_id: str) -> None:
        """See `Dialect`."""
        await wire.post("/abort_request", {"rid": request_id})

    async def generates(self, wire: Wire) -> bool:
        """See `Dialect`. This route generates a token, or sees others being generated; /ready does neither."""
        try:
            await wire.get("/health_generate", timeout_s=_HEALTH_S)
        except EngineError:
            return False
        return True

    async def version(self, wire: Wire) -> str | None:
        """See `Dialect`."""
        try:
            told = parse(await wire.get("/server_info", timeout_s=_HEALTH_S)).get("version")
        except (EngineError, AttributeError):
            return None
        return f"sglang {told}" if told else None
