"""What ``conduit plan`` is pointed at: the LMLites of a Python file, or one that a TOML file describes.

The Python file is run as an import would run it, and nothing in it starts.
"""

from __future__ import annotations

import dataclasses
import inspect
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from conduit.errors import ArgumentInvalid, FileError
from conduit.lmlite.config import ModelConfig, ResourceConfig, resource_config

_KEYS = {"provider", *inspect.signature(resource_config).parameters} - {"compute_provider"}


def configurations(target: str) -> dict[str, ResourceConfig]:
    """The configurations by the names that the file gives them.

    Raises:
        FileError: There is no such file or name, it cannot be read or run, or there is no LMLite in it.
        ArgumentInvalid: A TOML file says something impossible.
    """
    if target.endswith(".toml"):
        return {"": _from_toml(Path(target))}
    from conduit.cli.mdl_source import load, split
    from conduit.lmlite import LMLiteResource

    path, name = split(target)
    module = load(path)
    found = {own: value for own, value in vars(module).items() if isinstance(value, LMLiteResource)}
    if not found:
        raise FileError(
            f"There is no LMLite in {path}.",
            hint='Write one at the file\'s top level: lm = LMLite("Qwen/Qwen3-8B").',
            path=str(path),
        )
    if name is not None and name not in found:
        raise FileError(
            f"There is no LMLite {name} in {path}.",
            hint=f"LMLites there: {', '.join(found)}.",
            path=str(path),
        )
    chosen = found if name is None else {name: found[name]}
    own = {id(value): key for key, value in reversed(chosen.items())}  # one object, two names: the first
    return {key: value.config for key, value in chosen.items() if own[id(value)] == key}


def _from_toml(path: Path) -> ResourceConfig:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}.", path=str(path)) from error
    except ValueError as error:
        raise FileError(f"{path} is not TOML: {error}.", path=str(path)) from error
    _check_keys(path, "", content, _KEYS)
    models = content.pop("models", None)
    if not isinstance(models, list) or not models or not all(isinstance(m, Mapping) for m in models):
        raise FileError(
            f"{path} names no model.",
            hint='Write a table for each: [[models]], model_id = "Qwen/Qwen3-8B", max_model_len = 4096.',
            path=str(path),
        )
    known = {field.name for field in dataclasses.fields(ModelConfig)}
    for model in models:
        _check_keys(path, " of a model", model, known)
        if "model_id" not in model:
            raise FileError(f"{path}: a model has no model_id.", path=str(path))
    provider = content.pop("provider", "runpod")
    return resource_config([ModelConfig(**model) for model in models], provider, **content)


def _check_keys(path: Path, where: str, given: Mapping[str, Any], known: set[str]) -> None:
    for key in given:
        if key not in known:
            raise ArgumentInvalid(
                f"{path}: {key!r} is no setting{where}.",
                hint=f"Known: {', '.join(sorted(known))}.",
                argument=key,
            )
