"""Which files of a model an engine needs: weights once, in one format, and the small files beside them. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from gpu_server.engines.base import LoadError
from gpu_server.weights.base import RemoteFile

INDEX = "model.safetensors.index.json"
WEIGHTS = ".safetensors"
_SMALL = frozenset({".json", ".jinja", ".txt", ".model", ".tiktoken", ".py"})
# The same weights again, in another engine's form.
_OTHER_FORMS = frozenset({"original", "metal", "onnx", "openvino", "coreml", "gguf", "flax", "tf"})


def index_of(files: Iterable[RemoteFile]) -> RemoteFile | None:
    """Return the file that names the parts of the weights, if they are in parts."""
    return next((file for file in files if file.path == INDEX), None)


def parts_of(index: bytes | str) -> frozenset[str]:
    """Return the weight files that an index names.

    Raises:
        LoadError: It is no index.
    """
    try:
        return frozenset(str(path) for path in json.loads(index)["weight_map"].values())
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise LoadError(f"{INDEX} is no index of weights: {type(error).__name__}") from error


def needed(files: Sequence[RemoteFile], parts: frozenset[str] | None) -> list[RemoteFile]:
    """Return the files to download, the small ones first.

    Args:
        files: All that the hub has.
        parts: Weight files that the index names; None when there is no index.

    Raises:
        LoadError: There are no weights, one is empty, or the index names one that does not exist.
    """
    if parts is None:
        parts = _weights_without_index(files)
    missing = sorted(parts - {file.path for file in files})
    if missing:
        raise LoadError(f"{INDEX} names {missing[0]}, which the model does not have")
    chosen = [file for file in files if file.path in parts or _is_small(file.path)]
    for file in chosen:
        if file.path in parts and file.size == 0:
            raise LoadError(f"{file.path} has zero bytes on the hub: it is broken there")
    return sorted(chosen, key=lambda file: (file.path in parts, file.path))


def _weights_without_index(files: Sequence[RemoteFile]) -> frozenset[str]:
    found = [file.path for file in files if file.path.endswith(WEIGHTS) and "/" not in file.path]
    if "model.safetensors" in found:
        return frozenset({"model.safetensors"})
    if not found:
        pickled = any(file.path.endswith((".bin", ".pt", ".pth")) for file in files)
        raise LoadError(
            "the model has no .safetensors files"
            + (", only pickled ones, which run code when they are read" if pickled else "")
            + ": choose a copy of it that has them"
        )
    return frozenset(found)


def _is_small(path: str) -> bool:
    inside = PurePosixPath(path)
    if any(part in _OTHER_FORMS or part.startswith(".") for part in inside.parts):
        return False
    return inside.suffix in _SMALL and not path.endswith(".bin.index.json")
