"""The routes that manage serverless endpoints."""

from __future__ import annotations

import time
from collections import Counter
from typing import Annotated, Any, Literal, Self

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from pydantic import AfterValidator, Field, model_validator

from conduit.sim.runpod.api import logs, placement
from conduit.sim.runpod.api.account import VOLUME
from conduit.sim.runpod.api.state import State
from conduit.sim.runpod.bodies import Body, Container, Cpu, CudaVersion, Named, read
from conduit.sim.runpod.catalog import CPUS_ON_SALE, DATA_CENTERS, GPUS_ON_SALE, SERVERLESS_FACTOR
from conduit.sim.runpod.problems import Problem


def _unique(values: list[Any]) -> list[Any]:
    if len({repr(value) for value in values}) < len(values):
        raise ValueError("values must differ")
    return values


class Workers(Body):
    """Bounds of scaling."""

    min: Annotated[int, Field(ge=0)] | None = None
    max: Annotated[int, Field(ge=0)] | None = None
    idleTimeout: Annotated[int, Field(ge=1, le=3600)] | None = None


class QueueDelay(Body):
    """Scaling by how long jobs wait."""

    type: Literal["QUEUE_DELAY"]
    queueDelay: Annotated[float, Field(ge=0.5)]


class RequestCount(Body):
    """Scaling by how many requests there are."""

    type: Literal["REQUEST_COUNT"]
    requestCount: Annotated[int, Field(ge=1)]


Scaling = Annotated[QueueDelay | RequestCount, Field(discriminator="type")]
Excluded = Annotated[str, Field(pattern=r"^\s*[^-\s]")]
Pools = Annotated[list[str], Field(min_length=1)]
Cpus = Annotated[list[Cpu], Field(min_length=1), AfterValidator(_unique)]


class UpdateGpu(Body):
    """GPUs of a worker, changed."""

    pools: Pools | None = None
    excludedTypes: Annotated[list[Excluded], AfterValidator(_unique)] | None = None
    count: Annotated[int, Field(ge=1)] | None = None
    allowedCudaVersions: list[CudaVersion] | None = None
    minCudaVersion: Annotated[str, Field(pattern=r"^$|^[0-9]+\.[0-9]+$")] | None = None

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.excludedTypes is not None and self.pools is None:
            raise ValueError("excludedTypes requires pools")
        return self


class CreateGpu(UpdateGpu):
    """GPUs of a worker."""

    pools: Pools
    minCudaVersion: CudaVersion | None = None


class UpdateEndpoint(Container):
    """``PATCH /v2/serverless/{id}``."""

    cpu: Cpus | None = None
    dataCenterIds: list[str] | None = None
    flashboot: Literal["OFF", "FLASHBOOT", "PRIORITY_FLASHBOOT"] | None = None
    gpu: UpdateGpu | None = None
    name: Named | None = None
    networkVolumes: list[str] | None = None
    scaling: Scaling | None = None
    templateId: str | None = None
    timeout: int | None = None
    workers: Workers | None = None


class CreateEndpoint(UpdateEndpoint):
    """``POST /v2/serverless``."""

    gpu: CreateGpu | None = None
    name: Named
    scaling: Scaling
    templateId: Named | None = None
    type: Literal["QUEUE", "LOAD_BALANCER"]

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.templateId is None and self.image is None:
            raise ValueError("image is required unless templateId is set")
        if self.type == "LOAD_BALANCER" and self.scaling.type != "REQUEST_COUNT":
            raise ValueError("a LOAD_BALANCER endpoint scales on REQUEST_COUNT")
        return self


async def list_all(state: State, _request: Request) -> Response:
    """``GET /v2/serverless``."""
    return JSONResponse({"endpoints": [endpoint.document() for endpoint in state.fleet.all()]})


async def create(state: State, request: Request) -> Response:
    """``POST /v2/serverless``."""
    body = await read(request, CreateEndpoint)
    if (body.gpu is None) == (body.cpu is None):
        raise Problem(400, "exactly one of gpu or cpu must be set")
    given = _with_template(state, body)
    _check(state, given)
    asked = {
        "dataCenterIds": [],
        "networkVolumes": [],
        "timeout": 300_000,
        "flashboot": "OFF",
        **given,
        "workers": {"min": 0, "max": 3, "idleTimeout": 10, **given.get("workers", {})},
    }
    _check_workers(asked)
    compute, usd_per_hour = _placed(state, asked)
    return JSONResponse(state.fleet.add(asked, compute, usd_per_hour).document(), 201)


async def get(state: State, request: Request) -> Response:
    """``GET /v2/serverless/{id}``."""
    return JSONResponse(state.fleet.get(request.path_params["id"]).document())


async def update(state: State, request: Request) -> Response:
    """``PATCH /v2/serverless/{id}``."""
    body = await read(request, UpdateEndpoint)
    endpoint = state.fleet.get(request.path_params["id"])
    given = _with_template(state, body)
    if {"gpu", "cpu"} <= set(given) or ("gpu" in given) > ("gpu" in endpoint.asked):
        raise Problem(400, "an endpoint stays on GPUs or on CPUs")
    if "cpu" in given and "cpu" not in endpoint.asked:
        raise Problem(400, "an endpoint stays on GPUs or on CPUs")
    for name in ("gpu", "workers"):
        if name in given:
            given[name] = {**endpoint.asked[name], **given[name]}
    asked = {**endpoint.asked, **given}
    if asked["type"] == "LOAD_BALANCER" and asked["scaling"]["type"] != "REQUEST_COUNT":
        raise Problem(400, "a LOAD_BALANCER endpoint scales on REQUEST_COUNT")
    _check(state, given)
    _check_workers(asked)
    endpoint.compute, endpoint.usd_per_hour = _placed(state, asked)
    endpoint.change(given)
    return JSONResponse(endpoint.document())


async def delete(state: State, request: Request) -> Response:
    """``DELETE /v2/serverless/{id}``."""
    await state.fleet.remove(state.fleet.get(request.path_params["id"]))
    return Response(status_code=204)


async def workers(state: State, request: Request) -> Response:
    """``GET /v2/serverless/{id}/workers``."""
    endpoint, now = state.fleet.get(request.path_params["id"]), time.time()
    shown = [endpoint.worker_document(pod, now) for pod in state.fleet.workers(endpoint)]
    counts = Counter(worker["status"].lower() for worker in shown)
    kinds = ("running", "idle", "initializing", "throttled", "unhealthy")
    summary = {kind: counts[kind] for kind in kinds} | {"total": len(shown)}
    return JSONResponse({"workers": shown, "summary": summary, "endpointVersion": endpoint.version})


async def releases(state: State, request: Request) -> Response:
    """``GET /v2/serverless/{id}/releases``."""
    endpoint = state.fleet.get(request.path_params["id"])
    running = Counter(pod.version for pod in state.fleet.workers(endpoint))
    latest, total = running[endpoint.version], running.total()
    rollout = {
        "inProgress": latest < total,
        "workersOnLatest": latest,
        "workersTotal": total,
        "percentOnLatest": 100 * latest // total if total else 0,
    }
    shown = [{**release, "workerCount": running[release["version"]]} for release in endpoint.releases]
    return JSONResponse({"endpointVersion": endpoint.version, "rollout": rollout, "releases": shown})


async def worker_logs(state: State, request: Request) -> Response:
    """``GET /v2/serverless/{id}/workers/{workerId}/logs``."""
    endpoint = state.fleet.get(request.path_params["id"])
    return logs.answer(request, state.fleet.worker(endpoint, request.path_params["workerId"]))


def _with_template(state: State, body: UpdateEndpoint) -> dict[str, Any]:
    given = body.given()
    template = given.pop("templateId", None)
    return given if not template else {**placement.container_of(state, template), **given}


def _check(state: State, given: dict[str, Any]) -> None:
    for wanted in given.get("dataCenterIds", ()):
        if wanted not in DATA_CENTERS:
            raise Problem(400, f"data center {wanted!r} does not exist")
    for wanted in given.get("networkVolumes", ()):
        if wanted not in [volume["id"] for volume in state.shelf.all(VOLUME)]:
            raise Problem(400, f"network volume {wanted!r} does not exist")
    gpu = given.get("gpu", {})
    if gpu.get("allowedCudaVersions") and gpu.get("minCudaVersion"):
        raise Problem(400, "allowedCudaVersions and minCudaVersion exclude each other")


def _check_workers(asked: dict[str, Any]) -> None:
    if asked["workers"]["min"] > asked["workers"]["max"]:
        raise Problem(400, "workers.min must not be above workers.max")


def _placed(state: State, asked: dict[str, Any]) -> tuple[dict[str, Any], float]:
    """What a worker runs on, the cheapest that is allowed, and USD an hour while it runs."""
    factor = state.options.price_factor
    if "cpu" in asked:
        for each in asked["cpu"]:
            cpu = CPUS_ON_SALE.get(each["id"])
            if cpu is None or each["vcpuCount"] & (each["vcpuCount"] - 1) or each["vcpuCount"] > cpu.max_vcpu:
                raise Problem(400, f"CPU flavor {each['id']!r} with {each['vcpuCount']} vCPUs does not exist")
        first = asked["cpu"][0]
        return {"cpu": first}, CPUS_ON_SALE[first["id"]].serverless_usd * first["vcpuCount"] * factor
    pools, excluded = asked["gpu"]["pools"], asked["gpu"].get("excludedTypes", ())
    if unknown := set(pools) - {str(gpu.pool) for gpu in GPUS_ON_SALE.values()}:
        raise Problem(400, f"GPU pool {min(unknown)!r} does not exist")
    if unknown := set(excluded) - {gpu.id for gpu in GPUS_ON_SALE.values() if gpu.pool in pools}:
        raise Problem(400, f"GPU type {min(unknown)!r} is not in the pools")
    left = [gpu for gpu in GPUS_ON_SALE.values() if gpu.pool in pools and gpu.id not in excluded]
    if not left:
        raise Problem(400, "excludedTypes leaves no GPU type of the pools")
    cheapest, count = min(left, key=lambda gpu: gpu.secure_usd), asked["gpu"].get("count", 1)
    return (
        {"gpu": {"id": cheapest.id, "count": count}},
        cheapest.secure_usd * SERVERLESS_FACTOR * count * factor,
    )
