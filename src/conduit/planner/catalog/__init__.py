"""What ships with Conduit so that a plan needs no network: facts of popular open models, and list prices of GPUs.

Both are dated. Where the hub or a provider can be asked, their answers are the better ones.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

from conduit.compute import GPUS, Offering
from conduit.compute.gpus import FACTS
from conduit.planner.model_spec import ModelSpec

__all__ = ["facts", "model_ids", "offerings", "offerings_dated"]


def facts(model_id: str) -> ModelSpec | None:
    """The facts of a model by its id on the hub, in small letters or large ones; None when it is not listed."""
    entry = _models().get(model_id.lower())
    if entry is None:
        return None
    return ModelSpec.from_config(entry["config"], entry["checkpoint_bytes"])


def model_ids() -> tuple[str, ...]:
    """The models that are listed."""
    return tuple(_read("models.json")["models"])


def offerings() -> list[Offering]:
    """What RunPod had on sale at its list prices, as one, two, four and eight GPUs."""
    listed = _read("offerings.json")
    return [
        Offering(
            provider=listed["provider"],
            gpu=row["gpu"],
            name=GPUS[row["name"]],
            gpu_count=count,
            memory_gib=FACTS[GPUS[row["name"]]].memory_gib,
            usd_per_hour=round(count * row["usd_per_gpu_hour"], 4),
            secure=row["secure"],
            compute_capability=FACTS[GPUS[row["name"]]].compute_capability,
        )
        for row in listed["offerings"]
        for count in listed["gpu_counts"]
    ]


def offerings_dated() -> str:
    """Between which dates the list prices were noted down."""
    dates = sorted(row["dated"] for row in _read("offerings.json")["offerings"])
    return f"{dates[0]} to {dates[-1]}"


@cache
def _models() -> dict[str, Any]:
    return {model_id.lower(): entry for model_id, entry in _read("models.json")["models"].items()}


@cache
def _read(name: str) -> Any:
    return json.loads(resources.files(__name__).joinpath(name).read_text(encoding="utf-8"))
