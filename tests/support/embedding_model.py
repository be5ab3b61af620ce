"""A model folder that embeds, made of one with random weights that answers."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.numpy import load_file, save_file


def as_embedding_model(folder: Path) -> Path:
    """Turn the model of `folder` into a Qwen3 embedding model, in the layout of sentence-transformers."""
    weights = load_file(folder / "model.safetensors")
    renamed = {name.removeprefix("model."): tensor for name, tensor in weights.items()}
    save_file(renamed, str(folder / "model.safetensors"), metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    width = config["hidden_size"]
    kinds = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))
    modules = [
        {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for at, (path, kind) in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    ways = (
        "cls_token",
        "mean_tokens",
        "max_tokens",
        "mean_sqrt_len_tokens",
        "weightedmean_tokens",
        "lasttoken",
    )
    pooling = {f"pooling_mode_{way}": way == "lasttoken" for way in ways}
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": width, "include_prompt": True, **pooling})
    )
    return folder
