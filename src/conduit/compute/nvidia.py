"""The NVIDIA GPUs of one machine, as its own ``nvidia-smi`` tells them. Nothing is rented here."""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from conduit.compute.base import Offering
from conduit.compute.gpus import GPUS
from conduit.errors import ProviderUnavailable

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from conduit.compute.base import OfferingQuery

QUERY = ("--query-gpu=uuid,name,memory.total,compute_cap", "--format=csv,noheader,nounits")
"""Arguments of nvidia-smi; compute_cap is known to drivers from 510 on, and older ones run no current engine."""

_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Gpu:
    """One GPU of a machine.

    Attributes:
        uuid: NVIDIA's, the same for as long as the card lives.
        type: The name that nvidia-smi gives.
        memory_gib: All that the driver offers to programs.
        compute_capability: As 8.9.
    """

    uuid: str
    type: str
    memory_gib: float
    compute_capability: float | None

    @property
    def name(self) -> str:
        """The ``GPUS`` value, or the type where there is none."""
        return _name(self.type, self.memory_gib)


async def gpus_here(command: str = "nvidia-smi") -> list[Gpu]:
    """The GPUs of this machine; none where there is no ``nvidia-smi``.

    Raises:
        ProviderUnavailable: It is there and does not work.
    """
    try:
        with anyio.fail_after(_TIMEOUT_S):
            done = await anyio.run_process([command, *QUERY], check=False)
    except FileNotFoundError:
        return []
    except (OSError, TimeoutError) as error:
        problem = str(error) or f"no answer in {_TIMEOUT_S:.0f} s"
        raise _broken("this machine", problem) from error
    if done.returncode:
        raise _broken("this machine", (done.stdout + done.stderr).decode(errors="replace"))
    return parse(done.stdout.decode(errors="replace"), "this machine")


def parse(text: str, machine: str) -> list[Gpu]:
    """Reads what ``nvidia-smi`` printed for ``QUERY``; a GPU that is cut into instances (MIG) counts as one.

    Raises:
        ProviderUnavailable: It is something else.
    """
    found = []
    for row in csv.reader(io.StringIO(text), skipinitialspace=True):
        if not row:
            continue
        try:
            uuid, kind, memory_mib, capability = (cell.strip() for cell in row)
            found.append(Gpu(uuid, kind, int(memory_mib) / 1024, _number(capability)))
        except ValueError as error:
            raise _broken(machine, ", ".join(row)) from error
    return found


def offerings(
    provider: str, gpus: Sequence[Gpu], taken: Collection[str], query: OfferingQuery, *, region: str | None
) -> list[Offering]:
    """What a machine with these GPUs has to offer, free of charge.

    Args:
        provider: Whose offerings they are.
        gpus: All of the machine.
        taken: The uuids of those that nodes hold.
        query: Which are asked for.
        region: The machine's name, where there are several.
    """
    if query.regions and region not in query.regions:
        return []
    kinds = {gpu.type: gpu for gpu in gpus}
    have = Counter(gpu.type for gpu in gpus)
    free = Counter(gpu.type for gpu in gpus if gpu.uuid not in taken)
    return [
        Offering(
            provider=provider,
            gpu=kind,
            name=gpu.name,
            gpu_count=count,
            memory_gib=gpu.memory_gib,
            usd_per_hour=0.0,
            region=region,
            availability="high" if free[kind] >= count else "none",
            compute_capability=gpu.compute_capability,
        )
        for kind, gpu in kinds.items()
        if query.gpu in (None, kind, gpu.name)
        for count in query.gpu_counts
        if count <= have[kind]
    ]


def _name(kind: str, memory_gib: float) -> str:
    words = set(re.split(r"[\s-]+", kind.upper()))
    if "LAPTOP" in words:
        return kind  # it shares its name with a card that has more of everything
    # The driver keeps a part for itself: 79.6 GiB are an "80GB" card.
    words.add(f"{math.ceil(memory_gib / 8) * 8}GB")
    fitting = [gpu for gpu in GPUS if set(gpu.upper().split()) - {"NVIDIA"} <= words]
    return max(fitting, key=lambda gpu: len(gpu.split()), default=kind)


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d+\.\d+", text) else None


def _broken(machine: str, said: str) -> ProviderUnavailable:
    return ProviderUnavailable(
        f"nvidia-smi on {machine} does not work: {' '.join(said.split())[:300]}.",
        hint="Run it there by hand: it says what is wrong with the driver.",
    )
