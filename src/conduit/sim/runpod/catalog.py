"""What the simulator has on sale: GPU types, CPU flavours and data centres, with prices as facts of its own.

Names, memory and pools are those of the real catalogue; the prices are of its order, not of its day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class GpuOnSale:
    """A GPU type.

    Attributes:
        pool: Of serverless endpoints; None where there is none.
        memory_gb: The vendor's GB.
        secure_usd: For one GPU and hour; 0 where that cloud has none.
        community_usd: As ``secure_usd``.
        max_count: Of one pod, on the secure cloud and on the community's.
        places: Data centres.
    """

    id: str
    name: str
    pool: str | None
    memory_gb: int
    secure_usd: float
    community_usd: float
    max_count: tuple[int, int]
    places: tuple[str, ...]
    manufacturer: str = "NVIDIA"


@dataclass(frozen=True)
class CpuOnSale:
    """A CPU flavour; prices for one vCPU and hour."""

    id: str
    name: str
    group: str
    max_vcpu: int
    gb_per_vcpu: float
    secure_usd: float
    serverless_usd: float


@dataclass(frozen=True)
class DataCenter:
    """A place."""

    id: str
    name: str
    region: str
    country: str
    volumes: tuple[str, ...] = ("STANDARD",)
    compliance: tuple[str, ...] = ("SOC_2_TYPE_2",)
    global_network: bool = True


_US = ("US-KS-2", "US-TX-3")
_EU = ("EU-RO-1", "EU-SE-1")
_ALL = (*_US, "US-CA-2", *_EU)

DATA_CENTERS = {
    place.id: place
    for place in (
        DataCenter("US-KS-2", "US Kansas 2", "NORTH_AMERICA", "US", ("STANDARD", "HIGH_PERFORMANCE")),
        DataCenter("US-TX-3", "US Texas 3", "NORTH_AMERICA", "US"),
        DataCenter("US-CA-2", "US California 2", "NORTH_AMERICA", "US", ()),
        DataCenter("EU-RO-1", "EU Romania 1", "EUROPE", "RO", compliance=("GDPR", "ISO_IEC_27001")),
        DataCenter("EU-SE-1", "EU Sweden 1", "EUROPE", "SE", compliance=("GDPR",), global_network=False),
    )
}

GPUS_ON_SALE = {
    gpu.id: gpu
    for gpu in (
        GpuOnSale("NVIDIA RTX A4000", "RTX A4000", "AMPERE_16", 16, 0.25, 0.17, (8, 4), _EU),
        GpuOnSale("NVIDIA RTX 4000 Ada Generation", "RTX 4000 Ada", "AMPERE_16", 20, 0.26, 0.20, (8, 4), _EU),
        GpuOnSale("NVIDIA RTX A5000", "RTX A5000", "AMPERE_24", 24, 0.27, 0.16, (8, 4), _ALL),
        GpuOnSale("NVIDIA L4", "L4", "AMPERE_24", 24, 0.39, 0.0, (8, 0), _EU),
        GpuOnSale("NVIDIA GeForce RTX 3090", "RTX 3090", "AMPERE_24", 24, 0.46, 0.22, (8, 4), _EU),
        GpuOnSale("NVIDIA GeForce RTX 4090", "RTX 4090", "ADA_24", 24, 0.69, 0.34, (8, 4), _ALL),
        GpuOnSale("NVIDIA GeForce RTX 5090", "RTX 5090", "ADA_32_PRO", 32, 0.94, 0.69, (8, 4), _ALL),
        GpuOnSale("NVIDIA A40", "A40", "AMPERE_48", 48, 0.40, 0.35, (10, 4), _ALL),
        GpuOnSale("NVIDIA RTX A6000", "RTX A6000", "AMPERE_48", 48, 0.49, 0.33, (8, 4), _US),
        GpuOnSale("NVIDIA L40", "L40", "ADA_48_PRO", 48, 0.99, 0.69, (8, 4), _EU),
        GpuOnSale("NVIDIA L40S", "L40S", "ADA_48_PRO", 48, 0.86, 0.79, (8, 4), _ALL),
        GpuOnSale(
            "NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada", "ADA_48_PRO", 48, 0.77, 0.74, (8, 4), _EU
        ),
        GpuOnSale("NVIDIA A100 80GB PCIe", "A100 PCIe", "AMPERE_80", 80, 1.64, 1.19, (8, 4), _US),
        GpuOnSale("NVIDIA A100-SXM4-80GB", "A100 SXM", "AMPERE_80", 80, 1.74, 0.0, (8, 0), _US),
        GpuOnSale("NVIDIA H100 PCIe", "H100 PCIe", "ADA_80_PRO", 80, 2.39, 1.99, (8, 4), _US),
        GpuOnSale("NVIDIA H100 80GB HBM3", "H100 SXM", "ADA_80_PRO", 80, 2.99, 2.69, (8, 4), _ALL),
        GpuOnSale("NVIDIA H100 NVL", "H100 NVL", "ADA_80_PRO", 94, 2.79, 2.59, (8, 4), _US),
        GpuOnSale("NVIDIA H200", "H200 SXM", "HOPPER_141", 141, 3.99, 0.0, (8, 0), _ALL),
        GpuOnSale("NVIDIA B200", "B200", "BLACKWELL_180", 180, 5.98, 0.0, (8, 0), ("US-CA-2",)),
        GpuOnSale("AMD Instinct MI300X OAM", "MI300X", None, 192, 2.49, 0.0, (8, 0), ("EU-RO-1",), "AMD"),
    )
}

CPUS_ON_SALE = {
    cpu.id: cpu
    for cpu in (
        CpuOnSale("cpu3c", "Compute-Optimized", "Gen 3", 32, 2.0, 0.03, 0.036),
        CpuOnSale("cpu3g", "General Purpose", "Gen 3", 32, 4.0, 0.04, 0.048),
        CpuOnSale("cpu5c", "Compute-Optimized", "Gen 5", 32, 2.0, 0.035, 0.042),
    )
}

CUDA_VERSIONS = ("12.4", "12.8", "13.0")
SERVERLESS_FACTOR = 2.0  # of the secure price; what a worker that runs only now and then costs


def memory_gb(cpu: Mapping[str, Any]) -> int:
    """Memory that comes with the CPUs that were asked for."""
    return int(CPUS_ON_SALE[cpu["id"]].gb_per_vcpu * cpu["vcpuCount"])
