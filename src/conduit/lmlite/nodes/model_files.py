"""Where a model's files lie on this machine, if they do. Reads names, sizes and times, never weights."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from conduit.errors import ModelNotFound
from conduit.lmlite.config import ModelConfig
from conduit.settings import Settings

TINY = "conduit/tiny"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class ModelFiles:
    """A located model.

    Attributes:
        path: Its folder; ``None`` when the engine fetches it from the hub by its id.
        fingerprint: Changes when the files do.
    """

    model_id: str
    path: Path | None
    fingerprint: str

    def config(self) -> dict[str, Any] | None:
        """The folder's ``config.json``; ``None`` without a folder.

        Raises:
            ModelNotFound: The file is not a JSON object.
        """
        if self.path is None:
            return None
        try:
            return dict(json.loads((self.path / "config.json").read_bytes()))
        except (OSError, ValueError, TypeError) as error:
            raise ModelNotFound(
                f"{self.path / 'config.json'} cannot be read: {error}.",
                hint="The folder is not a model in the Hugging Face layout; copy or download it again.",
                model_id=self.model_id,
            ) from error

    def checkpoint_bytes(self) -> int:
        """Size of the weights in the folder; 0 without a folder."""
        return sum(file.stat().st_size for file in self.path.glob("*.safetensors")) if self.path else 0


def locate(model: ModelConfig) -> ModelFiles:
    """Finds the model: the shipped one, a folder, or an id to be fetched from the hub.

    One that another server has is not looked for.

    Raises:
        ModelNotFound: It is none of these.
    """
    model_id = model.model_id
    if model.attached:
        return ModelFiles(model_id, None, "attached")
    folder = Path(__file__).parents[1] / "tiny" if model_id == TINY else Path(model_id).expanduser()
    if (folder / "config.json").is_file():
        return ModelFiles(model_id, folder.absolute(), _fingerprint(folder))
    if folder.exists():
        raise ModelNotFound(
            f"{folder.absolute()} holds no model: there is no config.json in it.",
            hint="Give a folder in the Hugging Face layout: config.json, *.safetensors and tokenizer.json.",
            model_id=model_id,
        )
    if model_id == TINY:
        raise ModelNotFound(
            f"The files of {TINY} are missing from this installation: there is no {folder}.",
            hint="Install conduit-dataflow again.",
            model_id=model_id,
        )
    if not _HUB_ID.fullmatch(model_id):
        raise ModelNotFound(
            f"There is no model {model_id!r}: no such folder, and no id of the form owner/name.",
            hint=f"Give a folder, a hub id such as Qwen/Qwen3-0.6B, or {TINY}, which ships with Conduit.",
            model_id=model_id,
        )
    return ModelFiles(model_id, None, f"hub:{model.revision or ''}")


def located(model: ModelConfig, settings: Settings) -> ModelFiles:
    """``locate`` of what the settings have loaded in the model's place.

    Raises:
        ModelNotFound: It is neither a folder nor a possible hub id.
    """
    loaded = settings.model_aliases.get(model.model_id, model.model_id)
    if loaded == model.model_id:
        return locate(model)
    files = locate(replace(model, model_id=loaded))
    return replace(files, model_id=model.model_id, fingerprint=f"{loaded}:{files.fingerprint}")


@dataclass(frozen=True)
class LoadedModel:
    """Which weights answer, and how they are loaded: models that differ in any of it may answer differently.

    Attributes:
        model_id: The model that is loaded, also where it stands in another one's place.
        revision: The hub's, where one was asked for; of a folder a fingerprint of its files.
        engine: What runs it, where that was chosen.
        choices: What else was chosen of type, quantization and server.
    """

    model_id: str
    revision: str | None
    engine: str | None
    choices: dict[str, str]


def loaded_model(model: ModelConfig, default_engine: str | None, settings: Settings) -> LoadedModel:
    """What answers where ``model`` is configured."""
    model_id = settings.model_aliases.get(model.model_id, model.model_id)
    revision = model.revision
    try:
        files = located(model, settings)
        if revision is None and files.path is not None:
            revision = files.fingerprint[-16:]
    except ModelNotFound:
        pass  # told where it is started; a fake that answers in its place needs no files
    chosen = {"dtype": model.dtype, "quantization": model.quantization, "url": model.url}
    choices = {name: value for name, value in chosen.items() if value is not None}
    return LoadedModel(model_id, revision, model.engine or default_engine, choices)


def _fingerprint(folder: Path) -> str:
    digest = hashlib.sha256(str(folder.absolute()).encode())
    for file in sorted(f for f in folder.iterdir() if f.suffix in (".json", ".safetensors", ".jinja")):
        status = file.stat()
        digest.update(f"{file.name}:{status.st_size}:{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()
