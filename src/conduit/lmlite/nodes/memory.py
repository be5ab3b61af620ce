"""Whether the replicas of a local deployment fit into this machine's memory, before any is started."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import psutil

from conduit import planner
from conduit.errors import ModelDoesNotFit, ModelUnsupported
from conduit.lmlite.config import ModelConfig
from conduit.lmlite.nodes.model_files import ModelFiles

_log = logging.getLogger(__name__)

_CPU_DTYPE = "f32"
"""What the server loads weights to on a CPU when it is not told otherwise."""


def available_bytes() -> int:
    """Memory that new processes can have now."""
    return int(psutil.virtual_memory().available)


def cpu_dtype(stated: str | None) -> str | None:
    """The type that the embedded engine loads weights to on a CPU; None for the checkpoint's own."""
    return None if stated == "auto" else stated or _CPU_DTYPE


def check_fit(models: Sequence[tuple[ModelConfig, ModelFiles]], replicas: int, *, available: int) -> None:
    """Refuses replicas that would not fit.

    Models that are fetched from the hub are not weighed, their size is not known here; nor are those of engines
    that are programs of their own, and answer for their memory themselves.

    Raises:
        ModelDoesNotFit: With what is needed and what there is.
    """
    needs = {
        config.model_id: _needed_bytes(config, files)
        for config, files in models
        if config.embedded and files.path is not None
    }
    needed = replicas * sum(needs.values())
    if needed <= available:
        return
    parts = ", ".join(f"{model_id} {_gib(size)}" for model_id, size in needs.items())
    raise ModelDoesNotFit(
        f"{replicas} replica{'s' if replicas > 1 else ''} of {parts} need {_gib(needed)} of memory; "
        f"{_gib(available)} are available on this machine.",
        hint="Lower replicas, max_model_concurrency or max_model_len, or choose a smaller model.",
        needed_bytes=needed,
        available_bytes=available,
    )


def _needed_bytes(config: ModelConfig, files: ModelFiles) -> int:
    checkpoint = files.checkpoint_bytes()
    try:
        spec = planner.ModelSpec.from_config(files.config() or {}, checkpoint)
        return planner.estimate(
            spec,
            engine="mistralrs",
            context_len=config.max_model_len,
            concurrency=config.max_model_concurrency,
            dtype=cpu_dtype(config.dtype),
        ).total_bytes
    except ModelUnsupported as error:
        # The engine may run what the planner cannot reckon; the weights alone are a bound that holds.
        _log.warning("%s Only the weights of %s are weighed.", error.message, config.model_id)
        return checkpoint


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**27 else f"{size / 2**20:.1f} MiB"
