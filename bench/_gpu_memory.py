"""What engines take of an NVIDIA GPU, beside what was planned for the same models and flags.

It needs a GPU, and an environment with the engine whose python is named as for the engines' contract:
``CONDUIT_TEST_SGLANG``, ``CONDUIT_TEST_VLLM``. Where there is none it says so, and measures nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio
from _server import Server, serving

import random_weights
from conduit.compute import OfferingQuery
from conduit.compute.nvidia import Gpu, gpus_here, offerings
from conduit.planner import ModelPlan, ModelRequest, ModelSpec, plan

_PROGRAMS: Final = {
    "sglang": ["-m", "sglang.launch_server"],
    "vllm": ["-m", "vllm.entrypoints.cli.main", "serve"],
}
_MODELS: Final = 2
_LENGTH, _CONCURRENCY = 2048, 64
_READY_S: Final = 900.0
MIB: Final = 2**20


@dataclass(frozen=True)
class Taken:
    """By one engine's server with its models, in bytes of one GPU."""

    engine: str
    planned: int
    taken: int
    weights_and_kv: int

    @property
    def off(self) -> float:
        """How far it is from the plan, as a share of that."""
        return self.taken / self.planned - 1

    @property
    def beside(self) -> float:
        """For each model, beside its weights and the planned keys and values."""
        return (self.taken - self.weights_and_kv) / _MODELS


def on_gpu(folder: Path, load: Callable[[Server], None]) -> list[Taken]:
    """Measures each engine that is there, on the first GPU, while nothing else uses that.

    Args:
        folder: For models and servers' files.
        load: Sends requests to ``model-0``, so that whatever is made at the first of them is there.
    """
    gpus = anyio.run(gpus_here)
    engines = {
        kind: python for kind in _PROGRAMS if (python := os.environ.get(f"CONDUIT_TEST_{kind.upper()}"))
    }
    if not gpus or not engines:
        print(f"on a GPU: not measured, {'no engine is named' if gpus else 'this machine has none'}")
        return []
    model = random_weights.make(folder / "gpu-model", hidden=1024, layers=16, max_positions=_LENGTH)
    return [_taken(kind, python, gpus[0], model, folder, load) for kind, python in engines.items()]


def _taken(
    kind: str, python: str, gpu: Gpu, model: Path, folder: Path, load: Callable[[Server], None]
) -> Taken:
    spec = ModelSpec.from_config(
        json.loads((model / "config.json").read_text()), (model / "model.safetensors").stat().st_size
    )
    asked = [
        ModelRequest(f"model-{number}", spec, kind, _LENGTH, _CONCURRENCY, dtype="bf16")
        for number in range(_MODELS)
    ]
    planned = plan(asked, offerings("local", [gpu], (), OfferingQuery(), region=None)).models
    before = _used(gpu)
    models = [_entry(one, python, model) for one in planned]
    with serving(folder, models, ready_s=_READY_S) as server:
        load(server)
        taken = _used(gpu) - before
    done = Taken(
        kind,
        sum(one.total_bytes for one in planned),
        taken,
        sum(one.bytes_by_cause["weights"] + one.bytes_by_cause["kv"] for one in planned),
    )
    print(
        f"{kind} on {gpu.type}, {_MODELS} models: {taken / MIB:,.0f} MiB taken, {done.planned / MIB:,.0f} planned "
        f"({done.off:+.1%}); {done.beside / MIB:,.0f} MiB a model beside weights, keys and values"
    )
    return done


def _entry(planned: ModelPlan, python: str, model: Path) -> dict[str, Any]:
    return {
        "model_id": planned.model_id,
        "path": str(model),
        "engine": planned.engine,
        "engine_command": [python, *_PROGRAMS[planned.engine]],
        "engine_args": list(planned.flags),
        "dtype": "bf16",
        "memory_fraction": planned.memory_fraction,
        "tensor_parallel": planned.tp,
        "max_model_len": _LENGTH,
        "max_model_concurrency": _CONCURRENCY,
        "startup_timeout_s": _READY_S,
    }


def _used(gpu: Gpu) -> int:
    """Bytes of the GPU that anything holds."""
    told = subprocess.run(
        ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", f"--id={gpu.uuid}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(told.stdout) * MIB
