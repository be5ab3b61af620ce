"""The GPU types that can be asked for by name, and what each is whoever rents it out. Prices are not here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class GPUS(StrEnum):
    """GPU types; the value is the name that people and messages use."""

    NVIDIA_T4 = "NVIDIA T4"
    NVIDIA_L4 = "NVIDIA L4"
    NVIDIA_L40 = "NVIDIA L40"
    NVIDIA_L40S = "NVIDIA L40S"
    NVIDIA_A10 = "NVIDIA A10"
    NVIDIA_A30 = "NVIDIA A30"
    NVIDIA_A40 = "NVIDIA A40"
    NVIDIA_RTX_3090 = "NVIDIA RTX 3090"
    NVIDIA_RTX_4090 = "NVIDIA RTX 4090"
    NVIDIA_RTX_5090 = "NVIDIA RTX 5090"
    NVIDIA_RTX_A4000 = "NVIDIA RTX A4000"
    NVIDIA_RTX_A5000 = "NVIDIA RTX A5000"
    NVIDIA_RTX_A6000 = "NVIDIA RTX A6000"
    NVIDIA_RTX_4000_ADA = "NVIDIA RTX 4000 Ada"
    NVIDIA_RTX_6000_ADA = "NVIDIA RTX 6000 Ada"
    NVIDIA_RTX_PRO_6000 = "NVIDIA RTX PRO 6000"
    NVIDIA_A100_40GB = "NVIDIA A100 40GB"
    NVIDIA_A100_80GB = "NVIDIA A100 80GB"
    NVIDIA_H100_80GB = "NVIDIA H100 80GB"
    NVIDIA_H100_NVL = "NVIDIA H100 NVL"
    NVIDIA_H200 = "NVIDIA H200"
    NVIDIA_B200 = "NVIDIA B200"
    AMD_MI300X = "AMD MI300X"


@dataclass(frozen=True)
class GpuFacts:
    """What a GPU type is.

    Attributes:
        memory_gib: What programs get of its memory, in GiB: the lowest figure seen as "total capacity" in PyTorch's
            messages, with error correction on where data centres run it so. Vendors' GB are more.
        compute_capability: NVIDIA's; None for another vendor.
    """

    memory_gib: float
    compute_capability: float | None


FACTS: Mapping[GPUS, GpuFacts] = MappingProxyType(
    {
        GPUS.NVIDIA_T4: GpuFacts(14.56, 7.5),
        GPUS.NVIDIA_L4: GpuFacts(22.03, 8.9),
        GPUS.NVIDIA_L40: GpuFacts(44.34, 8.9),
        GPUS.NVIDIA_L40S: GpuFacts(44.34, 8.9),
        GPUS.NVIDIA_A10: GpuFacts(21.9, 8.6),
        GPUS.NVIDIA_A30: GpuFacts(23.4, 8.0),
        GPUS.NVIDIA_A40: GpuFacts(44.34, 8.6),
        GPUS.NVIDIA_RTX_3090: GpuFacts(23.5, 8.6),
        GPUS.NVIDIA_RTX_4090: GpuFacts(23.5, 8.9),
        GPUS.NVIDIA_RTX_5090: GpuFacts(31.36, 12.0),
        GPUS.NVIDIA_RTX_A4000: GpuFacts(15.5, 8.6),
        GPUS.NVIDIA_RTX_A5000: GpuFacts(23.5, 8.6),
        GPUS.NVIDIA_RTX_A6000: GpuFacts(47.27, 8.6),
        GPUS.NVIDIA_RTX_4000_ADA: GpuFacts(19.5, 8.9),
        GPUS.NVIDIA_RTX_6000_ADA: GpuFacts(47.27, 8.9),
        GPUS.NVIDIA_RTX_PRO_6000: GpuFacts(94.9, 12.0),
        GPUS.NVIDIA_A100_40GB: GpuFacts(39.38, 8.0),
        GPUS.NVIDIA_A100_80GB: GpuFacts(79.1, 8.0),
        GPUS.NVIDIA_H100_80GB: GpuFacts(79.1, 9.0),
        GPUS.NVIDIA_H100_NVL: GpuFacts(93.0, 9.0),
        GPUS.NVIDIA_H200: GpuFacts(139.7, 9.0),
        GPUS.NVIDIA_B200: GpuFacts(178.3, 10.0),
        GPUS.AMD_MI300X: GpuFacts(191.6, None),
    }
)
