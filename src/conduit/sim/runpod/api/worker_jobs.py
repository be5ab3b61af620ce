"""The routes by which a worker on RunPod's SDK takes jobs and answers them. Their form is the SDK's."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from conduit.sim.runpod.api import query
from conduit.sim.runpod.api.state import State
from conduit.sim.runpod.pods.pod import Pod
from conduit.sim.runpod.problems import Problem
from conduit.sim.runpod.serverless.endpoint import Endpoint
from conduit.sim.runpod.serverless.jobs import Job

_TAKE_S = 2.0
_LOOK_S = 0.1

Handler = Callable[[State, Request, Endpoint, Pod], Awaitable[Response]]


def route(state: State, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """The handler behind the worker's own key."""

    async def answer(request: Request) -> Response:
        try:
            endpoint = state.fleet.get(request.path_params["id"])
            pod = state.fleet.worker(endpoint, request.path_params["worker"])
            _check_key(request, pod)
            return await handler(state, request, endpoint, pod)
        except Problem as problem:
            return problem.answer()

    return answer


async def take(_state: State, request: Request, endpoint: Endpoint, pod: Pod) -> Response:
    """``GET …/job-take/{worker}`` and ``…/job-take-batch/{worker}``."""
    endpoint.seen.setdefault(pod.id, time.time())
    most = query.whole(request, "batch_size", 1) or 1
    jobs = await endpoint.jobs.take(pod.id, most, _TAKE_S)
    if not jobs:
        return Response(status_code=204)
    endpoint.seen[pod.id] = time.time()
    shown = [{"id": job.id, "input": job.input} for job in jobs]
    return JSONResponse(shown if "job-take-batch" in request.url.path else shown[0])


async def stop(_state: State, _request: Request, endpoint: Endpoint, pod: Pod) -> Response:
    """``GET …/job-stop/{worker}``: jobs that it is to give up."""
    deadline = time.monotonic() + _TAKE_S
    while not (stops := endpoint.stops.pop(pod.id, [])):
        if time.monotonic() > deadline:
            return Response(status_code=204)
        await asyncio.sleep(_LOOK_S)
    return JSONResponse({"jobsToStop": stops})


async def done(state: State, request: Request, endpoint: Endpoint, pod: Pod) -> Response:
    """``POST …/job-done/{worker}/{job}``."""
    said = await _said(request)
    job = _own(endpoint, pod, request)
    if job is not None:
        if said.get("error") is not None:
            job.end("FAILED", error=said["error"])
        else:
            if not job.parts and said.get("output") is not None:
                job.add(said["output"])
            job.end("COMPLETED", output=said.get("output"))
    endpoint.seen[pod.id] = time.time()
    if said.get("stopPod"):
        state.fleet.end_worker(endpoint, pod)
    return JSONResponse({})


async def part(_state: State, request: Request, endpoint: Endpoint, pod: Pod) -> Response:
    """``POST …/job-stream/{worker}/{job}``."""
    said = await _said(request)
    job = _own(endpoint, pod, request)
    if job is not None and not job.ended:
        job.add(said.get("output"))
    return JSONResponse({})


async def ping(_state: State, _request: Request, _endpoint: Endpoint, _pod: Pod) -> Response:
    """``GET …/ping/{worker}``: it lives."""
    return JSONResponse({})


def _check_key(request: Request, pod: Pod) -> None:
    key = request.headers.get("authorization", "").removeprefix("Bearer ")  # the SDK shows it bare
    if not hmac.compare_digest(key.encode(), pod.key.encode()):
        raise Problem(401, "this is not the worker's key")


def _own(endpoint: Endpoint, pod: Pod, request: Request) -> Job | None:
    job = endpoint.jobs.get(request.path_params["job"])
    return job if job is not None and job.worker == pod.id else None


async def _said(request: Request) -> dict[str, Any]:
    try:
        said = json.loads(await request.body())
    except ValueError as error:
        raise Problem(400, "the body is no JSON") from error
    if not isinstance(said, dict):
        raise Problem(400, "the body is no object")
    return said
