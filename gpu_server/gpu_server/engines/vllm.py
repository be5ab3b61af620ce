"""vLLM: its own server as a process of ours, one for each model, on 127.0.0.1.

The key of that server goes through its environment, so that it shows in no argument list. The flags and routes are
those of `PINNED_VERSION`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from gpu_server.engines.base import Abilities, EngineError
from gpu_server.engines.remote.checks import MAX_LOGPROBS
from gpu_server.engines.remote.dialect import MetricNames, TokenizingDialect
from gpu_server.engines.remote.engine import RemoteEngine
from gpu_server.engines.remote.servers import Launch, OwnServer, Program
from gpu_server.engines.remote.wire import Wire, parse
from gpu_server.settings import ModelSettings

PINNED_VERSION = "0.33.0"
KEY_VARIABLE = "VLLM_API_KEY"
_SHORT_S = 30.0
_DTYPES = {"f32": "float32", "bf16": "bfloat16", "f16": "float16", "auto": "auto"}
_PROGRAM = Program(
    name="vllm",
    version=PINNED_VERSION,
    command=[sys.executable, "-m", "vllm.entrypoints.cli.main", "serve"],
    install=f"Install it with `uv pip install vllm=={PINNED_VERSION}` (Linux, CUDA 13), or use the image "
    f"vllm/vllm-openai:v{PINNED_VERSION}.",
)


class VllmEngine(RemoteEngine):
    """One model on vLLM.

    Args:
        settings: Which model, and its limits.
        log: Where vLLM's own output goes; None is our stderr.
    """

    def __init__(self, settings: ModelSettings, *, log: Path | None = None) -> None:
        def launch(port: int, key: str, _folder: Path) -> Launch:
            return Launch(flags(settings, port), {KEY_VARIABLE: key})

        super().__init__(settings, OwnServer(settings, _PROGRAM, launch, log=log), _Dialect())


def flags(settings: ModelSettings, port: int) -> list[str]:
    """Return the arguments behind `vllm serve` for these settings."""
    line = [
        str(settings.path or settings.model_id),
        *("--served-model-name", settings.model_id),
        *("--host", "127.0.0.1"),
        *("--port", str(port)),
        *("--max-model-len", str(settings.max_model_len)),
        *("--max-num-seqs", str(settings.max_model_concurrency)),
        *("--tensor-parallel-size", str(settings.tensor_parallel)),
        "--disable-uvicorn-access-log",
    ]
    if settings.task == "embed":
        line += ["--runner", "pooling"]
    else:
        outputs = {"backend": "guidance", "disable_any_whitespace": True}
        line += ["--structured-outputs-config", json.dumps(outputs), "--max-logprobs", str(MAX_LOGPROBS)]
    if settings.memory_fraction is not None:
        line += ["--gpu-memory-utilization", str(settings.memory_fraction)]
    if settings.dtype is not None:
        line += ["--dtype", _DTYPES[settings.dtype]]
    if settings.quantization is not None:
        line += ["--quantization", settings.quantization]
    if settings.revision is not None and settings.path is None:
        line += ["--revision", settings.revision]
    return line


class _Dialect(TokenizingDialect):
    name = "vllm"
    metrics = MetricNames(kv_used="vllm:kv_cache_usage_perc", steps="vllm:iteration_tokens_total_count")
    schema_remedy = (
        "start vLLM with --structured-outputs-config backend=guidance, and check engine_args for another one"
    )

    def abilities(self, settings: ModelSettings) -> Abilities:
        """See `Dialect`. Tool calls need a reader of them."""
        if settings.task == "embed":
            return Abilities(generate=False, embeddings=True)
        given = {argument.partition("=")[0] for argument in settings.engine_args}
        return Abilities(
            completions=True,
            seeds=True,
            tools={"--tool-call-parser", "--enable-auto-tool-choice"} <= given,
            logprobs=MAX_LOGPROBS,
        )

    async def version(self, wire: Wire) -> str | None:
        """See `Dialect`."""
        try:
            told = parse(await wire.get("/version", timeout_s=_SHORT_S)).get("version")
        except (EngineError, AttributeError):
            return None
        return f"vllm {told}" if told else None
