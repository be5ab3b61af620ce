"""How many threads the engine's kernels may use.

The kernels wait for each other by spinning. With more threads than processors a step takes fifty times as long,
and a model that fits the processor's cache gains nothing from a second thread. So: one thread for small models,
otherwise the processors that this process may really use, shared among the models that are not small.
`RAYON_NUM_THREADS` set from outside wins.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

SMALL_MODEL_BYTES = 64 * 1024 * 1024
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_processors(quota: Path = _QUOTA) -> int:
    """Return the processors left by the affinity mask and the container's quota; at least 1."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        share, period = quota.read_text().split()
        if share != "max":
            count = min(count, int(share) // int(period))
    except (OSError, ValueError):
        pass  # no such quota on this system
    return max(1, count)


def processors_each(folders: Iterable[Path | None]) -> int:
    """Return the processors for each model of these folders that is not small; None is of unknown size."""
    return max(1, usable_processors() // max(1, sum(not is_small(folder) for folder in folders)))


def is_small(folder: Path | None) -> bool:
    """Tell whether the model gains nothing from a second thread; one whose files cannot be seen is not small."""
    if folder is None:
        return False
    try:
        return sum(file.stat().st_size for file in folder.glob("*.safetensors")) <= SMALL_MODEL_BYTES
    except OSError:
        return False  # loading it tells why
