"""What a request for a pod comes to: its settings, where it goes, and its price; or why it cannot be placed."""

from __future__ import annotations

import re
from typing import Any

from conduit.sim.runpod.api.account import TEMPLATE, VOLUME
from conduit.sim.runpod.api.state import State
from conduit.sim.runpod.bodies import CreatePod, Gpu, Mounts
from conduit.sim.runpod.catalog import CPUS_ON_SALE, CUDA_VERSIONS, DATA_CENTERS, GPUS_ON_SALE
from conduit.sim.runpod.problems import NO_CAPACITY, Problem

_PORT = re.compile(r"([0-9]{1,5})/(http|tcp|udp)")
_CONTAINER = ("args", "disk", "env", "image", "ports", "registry")


def settings(state: State, body: CreatePod) -> tuple[dict[str, Any], str | None]:
    """Container settings of body and template together, with the compute and the mounts; and the template's id.

    Raises:
        Problem: They break a rule that the contract's schema cannot say.
    """
    if (body.gpu is None) == (body.cpu is None):
        raise Problem(400, "exactly one of gpu or cpu must be set")
    check_mounts(body.mounts, is_cpu=body.cpu is not None)
    given = body.given()
    asked = {} if body.templateId is None else container_of(state, body.templateId)
    asked |= {name: given[name] for name in _CONTAINER if name in given}
    for port in asked.get("ports", ()):
        found = _PORT.fullmatch(port)
        if found is None or not 0 < int(found[1]) < 65536:
            raise Problem(400, f"port {port!r} must be written as 8000/http, 22/tcp or 53/udp")
    if body.gpu is not None:
        asked["gpu"] = {"id": body.gpu.id, "count": body.gpu.count}
    if body.cpu is not None:
        asked["cpu"] = given["cpu"]
    if body.mounts is not None:
        asked["mounts"] = given["mounts"]
    return asked, body.templateId


def container_of(state: State, template: str) -> dict[str, Any]:
    """Container settings of a template.

    Raises:
        Problem: There is none of that id.
    """
    kept = state.shelf.get(TEMPLATE, template)
    return {name: kept[name] for name in _CONTAINER if kept.get(name) is not None}


def check_mounts(mounts: Mounts | None, *, is_cpu: bool) -> None:
    """Refuses what the schema of mounts allows and the API does not.

    Raises:
        Problem: Two kinds at once, or a host's disk for a pod without GPU.
    """
    if mounts is None:
        return
    if mounts.persistent is not None and mounts.network is not None:
        raise Problem(400, "mounts.persistent and mounts.network exclude each other")
    if mounts.persistent is not None and is_cpu:
        raise Problem(400, "mounts.persistent is not available for CPU pods")


def place(state: State, body: CreatePod, asked: dict[str, Any]) -> tuple[str, float]:
    """Where it goes, and USD an hour.

    Raises:
        Problem: It cannot be placed.
    """
    for wanted in body.dataCenterIds or ():
        if wanted not in DATA_CENTERS:
            raise Problem(400, f"data center {wanted!r} does not exist")
    places = set(body.dataCenterIds or DATA_CENTERS)
    if body.mounts is not None and body.mounts.network:
        volume = state.shelf.get(VOLUME, body.mounts.network[0].volumeId)
        places &= {volume["dataCenter"]}
    if body.gpu is not None:
        offered, usd_per_hour = _gpu(state, body)
    else:
        offered, usd_per_hour = _cpu(asked["cpu"])
    free = sorted(places & set(offered))
    if not free:
        raise Problem(400, NO_CAPACITY)
    return free[0], usd_per_hour * state.options.price_factor


def _gpu(state: State, body: CreatePod) -> tuple[tuple[str, ...], float]:
    assert body.gpu is not None
    gpu = GPUS_ON_SALE.get(body.gpu.id)
    if gpu is None:
        raise Problem(400, f"GPU type {body.gpu.id!r} does not exist")
    secure = body.cloud == "SECURE"
    price = gpu.secure_usd if secure else gpu.community_usd
    most = gpu.max_count[0 if secure else 1]
    if not price or gpu.id in state.options.sold_out or not _cuda_versions(body.gpu):
        raise Problem(400, NO_CAPACITY)
    if body.gpu.count > most:
        raise Problem(
            400, f"gpu.count {body.gpu.count} is above the maximum of {most} for {gpu.id} on {body.cloud}"
        )
    return gpu.places, price * body.gpu.count


def _cuda_versions(gpu: Gpu) -> list[str]:
    """Those of the hosts that the request accepts."""
    if gpu.allowedCudaVersions and gpu.minCudaVersion is not None:
        raise Problem(400, "allowedCudaVersions and minCudaVersion exclude each other")
    least = [int(part) for part in (gpu.minCudaVersion or "0.0").split(".")]
    return [
        version
        for version in CUDA_VERSIONS
        if (not gpu.allowedCudaVersions or version in gpu.allowedCudaVersions)
        and [int(part) for part in version.split(".")] >= least
    ]


def _cpu(asked: dict[str, Any]) -> tuple[tuple[str, ...], float]:
    cpu = CPUS_ON_SALE.get(asked["id"])
    count = asked["vcpuCount"]
    if cpu is None:
        raise Problem(400, f"CPU flavor {asked['id']!r} does not exist")
    if count & (count - 1) or count > cpu.max_vcpu:
        raise Problem(400, f"cpu.vcpuCount {count} must be a power of two up to {cpu.max_vcpu}")
    return tuple(DATA_CENTERS), cpu.secure_usd * count
