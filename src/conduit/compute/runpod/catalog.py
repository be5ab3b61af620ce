"""RunPod's catalogue read as offerings: names of GPU types, what of their memory can be used, prices by cloud."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from conduit.compute.base import Offering
from conduit.compute.gpus import FACTS, GPUS
from conduit.compute.runpod.answers import LOOK_HINT, PROVIDER
from conduit.errors import AmbiguousAnswer, OfferingRefused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from conduit.compute.base import Availability, OfferingQuery

Cloud = Literal["SECURE", "COMMUNITY"]

NAMES: Mapping[str, GPUS] = MappingProxyType(
    {
        "NVIDIA L4": GPUS.NVIDIA_L4,
        "NVIDIA L40": GPUS.NVIDIA_L40,
        "NVIDIA L40S": GPUS.NVIDIA_L40S,
        "NVIDIA A30": GPUS.NVIDIA_A30,
        "NVIDIA A40": GPUS.NVIDIA_A40,
        "NVIDIA GeForce RTX 3090": GPUS.NVIDIA_RTX_3090,
        "NVIDIA GeForce RTX 4090": GPUS.NVIDIA_RTX_4090,
        "NVIDIA GeForce RTX 5090": GPUS.NVIDIA_RTX_5090,
        "NVIDIA RTX A4000": GPUS.NVIDIA_RTX_A4000,
        "NVIDIA RTX A5000": GPUS.NVIDIA_RTX_A5000,
        "NVIDIA RTX A6000": GPUS.NVIDIA_RTX_A6000,
        "NVIDIA RTX 4000 Ada Generation": GPUS.NVIDIA_RTX_4000_ADA,
        "NVIDIA RTX 6000 Ada Generation": GPUS.NVIDIA_RTX_6000_ADA,
        "NVIDIA RTX PRO 6000 Blackwell Server Edition": GPUS.NVIDIA_RTX_PRO_6000,
        "NVIDIA RTX PRO 6000 Blackwell Workstation Edition": GPUS.NVIDIA_RTX_PRO_6000,
        "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition": GPUS.NVIDIA_RTX_PRO_6000,
        "NVIDIA A100-PCIE-40GB": GPUS.NVIDIA_A100_40GB,
        "NVIDIA A100-SXM4-40GB": GPUS.NVIDIA_A100_40GB,
        "NVIDIA A100 80GB PCIe": GPUS.NVIDIA_A100_80GB,
        "NVIDIA A100-SXM4-80GB": GPUS.NVIDIA_A100_80GB,
        "NVIDIA H100 PCIe": GPUS.NVIDIA_H100_80GB,
        "NVIDIA H100 80GB HBM3": GPUS.NVIDIA_H100_80GB,
        "NVIDIA H100 NVL": GPUS.NVIDIA_H100_NVL,
        "NVIDIA H200": GPUS.NVIDIA_H200,
        "NVIDIA B200": GPUS.NVIDIA_B200,
        "AMD Instinct MI300X OAM": GPUS.AMD_MI300X,
    }
)
"""RunPod's ids of GPU types that Conduit has a name for; the others are offered under RunPod's id."""

_GB_IN_GIB = 1e9 / 2**30
_LEVELS: Mapping[str, Availability] = MappingProxyType(
    {"NONE": "none", "LOW": "low", "MEDIUM": "medium", "HIGH": "high"}
)


def offerings(
    types: Sequence[Mapping[str, Any]], query: OfferingQuery, cloud: Cloud, count: int
) -> list[Offering]:
    """What a catalogue that was asked for one cloud and number of GPUs has on sale.

    Without regions in the query a type is offered once, for anywhere; with regions once for each that has it.

    Raises:
        AmbiguousAnswer: The catalogue is not what it should be.
    """
    try:
        return [offering for kind in types for offering in _of_type(kind, query, cloud, count)]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise AmbiguousAnswer(
            f"RunPod's catalogue cannot be read: {type(error).__name__} {error}.",
            hint=LOOK_HINT,
            provider=PROVIDER,
        ) from error


def pool(types: Sequence[Mapping[str, Any]], gpu: str) -> tuple[str, list[str], float | None]:
    """Of a GPU type: its serverless pool, the pool's other types, and the price of one GPU and hour there.

    Raises:
        OfferingRefused: It is in no pool.
    """
    mine = next((kind for kind in types if kind.get("id") == gpu), None)
    name = None if mine is None else mine.get("pool")
    if mine is None or not isinstance(name, str):
        raise OfferingRefused(
            f"RunPod has no serverless endpoints on {gpu!r}.",
            hint="Take a GPU type that the catalogue shows with a pool, or no serverless=True.",
            provider=PROVIDER,
        )
    others = sorted(str(kind["id"]) for kind in types if kind.get("pool") == name and kind.get("id") != gpu)
    usd = (mine.get("price") or {}).get("serverless")
    return name, others, usd if isinstance(usd, int | float) else None


def _of_type(kind: Mapping[str, Any], query: OfferingQuery, cloud: Cloud, count: int) -> Iterator[Offering]:
    gpu, tier = str(kind["id"]), cloud.lower()
    known = NAMES.get(gpu)
    if query.gpu not in (None, gpu, known) or not kind[tier] or kind["maxCount"][tier] < count:
        return
    facts = FACTS[known] if known else None
    usd = float(kind["price"][tier]) * count
    if not 0 < usd < math.inf:
        return  # a price of nothing is how a cloud is shown that has none
    places: list[tuple[str | None, Any]] = [(None, kind.get("availability"))]
    if query.regions:
        places = [
            (p["id"], p["availability"]) for p in kind.get("dataCenters", ()) if p["id"] in query.regions
        ]
    for region, level in places:
        yield Offering(
            provider=PROVIDER,
            gpu=gpu,
            name=gpu if known is None else known.value,
            gpu_count=count,
            # Of an unknown type only this is certain: a GB is no more than 10^9 bytes.
            memory_gib=facts.memory_gib if facts else float(kind["memory"]) * _GB_IN_GIB,
            usd_per_hour=usd,
            secure=cloud == "SECURE",
            region=region,
            availability=_LEVELS.get(str(level), "unknown"),
            compute_capability=facts.compute_capability if facts else None,
        )
