"""What a pod runs: its own configuration for gpu_server, changed as far as a machine without a GPU needs.

Engines for GPUs become the embedded one and every model becomes the simulator's; ids, limits and batches stay, so
a caller sees the models that it asked for.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from conduit.errors import ModelNotFound

CONFIG_VARIABLE = "GPU_SERVER_CONFIG"
TINY = "conduit/tiny"
# Of an engine, a GPU or a checkpoint that is not loaded here.
_DROPPED = frozenset(
    {
        "source",
        "revision",
        "dtype",
        "quantization",
        "memory_fraction",
        "tensor_parallel",
        "engine_command",
        "engine_args",
        "needs_driver",
    }
)
# Folders of the image or of a volume, which this machine does not have.
_ELSEWHERE = frozenset({"model_cache", "log_dir"})
_IDLE = (sys.executable, "-I", "-S", "-c", "import threading; threading.Event().wait()")


def model_folder(model: str) -> Path:
    """Where the simulator's model lies; that of ``conduit/tiny`` comes with Conduit."""
    return Path(str(files("conduit"))) / "lmlite" / "tiny" if model == TINY else Path(model).expanduser()


def check_model(model: str) -> None:
    """Refuses a model that no pod could load.

    Raises:
        ModelNotFound: There is no such folder.
    """
    folder = model_folder(model)
    if not (folder / "config.json").is_file():
        raise ModelNotFound(
            f"There is no model for the simulator's pods in {folder}: there is no config.json.",
            hint=f"Give a folder in the Hugging Face layout, or {TINY}.",
            model_id=model,
        )


def command_of(env: Mapping[str, str], server: Sequence[str] | None) -> list[str]:
    """The server where the pod has a configuration for it, else a process that waits."""
    if CONFIG_VARIABLE not in env:
        return list(_IDLE)
    return list(server or (sys.executable, "-m", "gpu_server"))


def rewritten(text: str, *, folder: Path, announce: Path) -> str:
    """The configuration as this machine can serve it; text that is none is left for the server to refuse."""
    try:
        config = json.loads(text)
        models = [_model(model, folder) for model in config["models"]]
    except (ValueError, TypeError, KeyError, AttributeError):
        return text
    kept = {name: value for name, value in config.items() if name not in _ELSEWHERE}
    return json.dumps({**kept, "host": "127.0.0.1", "port": 0, "announce": str(announce), "models": models})


def _model(model: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    if model.get("engine") == "openai":
        return dict(model)
    kept = {name: value for name, value in model.items() if name not in _DROPPED}
    longest = json.loads((folder / "config.json").read_text()).get("max_position_embeddings", 2048)
    asked = kept.get("max_model_len", longest)
    return {**kept, "engine": "mistralrs", "path": str(folder), "max_model_len": min(asked, longest)}
