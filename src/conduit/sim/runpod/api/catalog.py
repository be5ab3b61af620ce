"""The routes of the catalogue: GPU types, CPU flavours and data centres, with what is free of them."""

from __future__ import annotations

import re
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from conduit.sim.runpod import catalog
from conduit.sim.runpod.api import query
from conduit.sim.runpod.api.state import State
from conduit.sim.runpod.problems import Problem, not_found

_CUDA = r"[0-9]+\.[0-9]+"
_ONLY_WITH_AVAILABILITY = (
    "product",
    "count",
    "cloud",
    "countryCodes",
    "cudaVersions",
    "minCudaVersion",
    "vcpuCount",
)
_SCARCE = frozenset({"NVIDIA B200", "NVIDIA H200"})
_VOLUMES = ("STANDARD", "HIGH_PERFORMANCE")
_REGIONS = (
    "NORTH_AMERICA", "SOUTH_AMERICA", "EUROPE", "ASIA", "MIDDLE_EAST", "AFRICA", "OCEANIA", "ANTARCTICA", "UNKNOWN",
)  # fmt: skip
_COMPLIANCE = (
    "GDPR", "ISO_IEC_27001", "ISO_14001", "PCI_DSS", "HITRUST", "SOC_1_TYPE_2", "SOC_2_TYPE_2", "SOC_3_TYPE_2",
    "ITAR", "FISMA_HIGH", "HIPAA", "RENEWABLE",
)  # fmt: skip


async def gpus(state: State, request: Request) -> Response:
    """``GET /v2/catalog/gpus``."""
    countries = _check(request, ("POD", "CLUSTER", "SERVERLESS"))
    shown = [
        _gpu(state, request, gpu)
        for gpu in catalog.GPUS_ON_SALE.values()
        if not countries or any(catalog.DATA_CENTERS[place].country in countries for place in gpu.places)
    ]
    return JSONResponse({"gpus": shown})


async def gpu(state: State, request: Request) -> Response:
    """``GET /v2/catalog/gpus/{id}``."""
    _check(request, ("POD", "CLUSTER", "SERVERLESS"))
    wanted = request.path_params["id"]
    if wanted not in catalog.GPUS_ON_SALE:
        raise not_found("GPU type", wanted)
    return JSONResponse(_gpu(state, request, catalog.GPUS_ON_SALE[wanted]))


async def cpus(state: State, request: Request) -> Response:
    """``GET /v2/catalog/cpus``."""
    _check(request, ("POD", "SERVERLESS"))
    return JSONResponse({"cpus": [_cpu(state, request, cpu) for cpu in catalog.CPUS_ON_SALE.values()]})


async def cpu(state: State, request: Request) -> Response:
    """``GET /v2/catalog/cpus/{id}``."""
    _check(request, ("POD", "SERVERLESS"))
    wanted = request.path_params["id"]
    if wanted not in catalog.CPUS_ON_SALE:
        raise not_found("CPU flavor", wanted)
    return JSONResponse(_cpu(state, request, catalog.CPUS_ON_SALE[wanted]))


async def data_centers(state: State, request: Request) -> Response:
    """``GET /v2/catalog/datacenters``."""
    regions = query.listed(request, "regions", _REGIONS)
    volumes = set(query.listed(request, "networkVolumeTypes", _VOLUMES) or ())
    compliance = set(query.listed(request, "compliance", _COMPLIANCE) or ())
    network = query.flag(request, "globalNetwork")
    shown = [
        _data_center(state, request, place)
        for place in catalog.DATA_CENTERS.values()
        if (regions is None or place.region in regions)
        and volumes <= set(place.volumes)
        and compliance <= set(place.compliance)
        and (network is None or network == place.global_network)
    ]
    return JSONResponse({"dataCenters": shown})


async def data_center(state: State, request: Request) -> Response:
    """``GET /v2/catalog/datacenters/{id}``."""
    wanted = request.path_params["id"]
    if wanted not in catalog.DATA_CENTERS:
        raise not_found("data center", wanted)
    return JSONResponse(_data_center(state, request, catalog.DATA_CENTERS[wanted]))


def _check(request: Request, products: tuple[str, ...]) -> list[str] | None:
    """Holds the parameters to their rules; the countries among them."""
    include = query.listed(request, "include", ("AVAILABILITY",))
    if include is not None and len(include) > 1:
        raise query.wrong("include", "at most one value")
    product = query.listed(request, "product", products)
    query.whole(request, "count", 1)
    query.text(request, "cloud", ("SECURE", "COMMUNITY"))
    query.listed(request, "cudaVersions", pattern=_CUDA)
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", request.query_params.get("minCudaVersion", "12")):
        raise query.wrong("minCudaVersion", "must be written as 12 or 12.1")
    vcpus = query.whole(request, "vcpuCount", 2)
    countries = query.listed(request, "countryCodes", pattern="[A-Z]{2}")
    if vcpus is not None and vcpus & (vcpus - 1):
        raise Problem(400, f"vcpuCount {vcpus} must be a power of two")
    if not include:
        for name in _ONLY_WITH_AVAILABILITY:
            if name in request.query_params:
                raise Problem(400, f"{name} is valid only with include=AVAILABILITY")
    elif not product:
        raise Problem(400, "include=AVAILABILITY requires product")
    if {"cudaVersions", "minCudaVersion"} <= set(request.query_params):
        raise Problem(400, "cudaVersions and minCudaVersion exclude each other")
    return countries


def _gpu(state: State, request: Request, gpu: catalog.GpuOnSale) -> dict[str, Any]:
    factor = state.options.price_factor
    shown: dict[str, Any] = {
        "id": gpu.id,
        "name": gpu.name,
        "pool": gpu.pool,
        "manufacturer": gpu.manufacturer,
        "memory": gpu.memory_gb,
        "secure": gpu.secure_usd > 0,
        "community": gpu.community_usd > 0,
        "price": {"secure": gpu.secure_usd * factor, "community": gpu.community_usd * factor},
        "maxCount": {"secure": gpu.max_count[0], "community": gpu.max_count[1]},
    }
    if gpu.pool is not None:
        shown["price"]["serverless"] = gpu.secure_usd * catalog.SERVERLESS_FACTOR * factor
    if request.query_params.get("include"):
        shown |= _availability(state, request, gpu)
    return shown


def _availability(state: State, request: Request, gpu: catalog.GpuOnSale) -> dict[str, Any]:
    secure = request.query_params.get("cloud", "SECURE") == "SECURE"
    countries = query.listed(request, "countryCodes")
    wanted = query.listed(request, "cudaVersions")
    least = [int(part) for part in request.query_params.get("minCudaVersion", "0").split(".")]
    versions = [
        version
        for version in catalog.CUDA_VERSIONS
        if (wanted is None or version in wanted) and [int(part) for part in version.split(".")] >= least
    ]
    price, most = (gpu.secure_usd, gpu.max_count[0]) if secure else (gpu.community_usd, gpu.max_count[1])
    level = level_of(state, gpu)
    if not price or (query.whole(request, "count", 1) or 1) > most or not versions:
        level = "NONE"
    places = [catalog.DATA_CENTERS[place] for place in gpu.places]
    here = [place for place in places if countries is None or place.country in countries]
    shown: dict[str, Any] = {
        "availability": level if here else "NONE",
        "cudaVersions": [{"version": version, "available": level != "NONE"} for version in versions],
    }
    if here:
        shown["dataCenters"] = [{"id": place.id, "name": place.name, "availability": level} for place in here]
    return shown


def level_of(state: State, gpu: catalog.GpuOnSale) -> str:
    """How much of it the catalogue says to be free."""
    if gpu.id in state.options.sold_out:
        return "NONE"
    return "LOW" if gpu.id in _SCARCE else "HIGH"


def _cpu(state: State, request: Request, cpu: catalog.CpuOnSale) -> dict[str, Any]:
    factor = state.options.price_factor
    shown: dict[str, Any] = {
        "id": cpu.id,
        "name": cpu.name,
        "group": cpu.group,
        "vcpu": {"min": 2, "max": cpu.max_vcpu},
        "ramGbPerVcpu": cpu.gb_per_vcpu,
        "price": {"securePerVcpu": cpu.secure_usd * factor, "serverlessPerVcpu": cpu.serverless_usd * factor},
    }
    if request.query_params.get("include"):
        level = "NONE" if (query.whole(request, "vcpuCount", 2) or 2) > cpu.max_vcpu else "HIGH"
        shown["availability"] = level
        shown["dataCenters"] = [
            {"id": place.id, "name": place.name, "availability": level}
            for place in catalog.DATA_CENTERS.values()
        ]
    return shown


def _data_center(state: State, request: Request, place: catalog.DataCenter) -> dict[str, Any]:
    include = query.listed(request, "include", ("GPU_AVAILABILITY", "CPU_AVAILABILITY")) or []
    shown: dict[str, Any] = {
        "id": place.id,
        "name": place.name,
        "region": place.region,
        "networkVolumeTypes": list(place.volumes),
        "compliance": list(place.compliance),
        "globalNetwork": place.global_network,
    }
    if "GPU_AVAILABILITY" in include:
        shown["gpuAvailability"] = [
            {"id": gpu.id, "name": gpu.name, "availability": level_of(state, gpu)}
            for gpu in catalog.GPUS_ON_SALE.values()
            if place.id in gpu.places
        ]
    if "CPU_AVAILABILITY" in include:
        shown["cpuAvailability"] = [
            {"id": cpu.id, "name": cpu.name, "availability": "HIGH"} for cpu in catalog.CPUS_ON_SALE.values()
        ]
    return shown
