"""The harness's own routes under ``/sim``: the state as it truly is, and faults to inject. With their own key."""

from __future__ import annotations

import hmac
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import psutil
from fastapi import Request
from fastapi.responses import JSONResponse, Response

from conduit.sim.runpod.api.state import State
from conduit.sim.runpod.bodies import read
from conduit.sim.runpod.faults import Fault
from conduit.sim.runpod.pods.pod import Pod
from conduit.sim.runpod.problems import Problem, not_found

_TAGS = ("CONDUIT_OWNER", "CONDUIT_NODE")


def route(
    state: State, handler: Callable[[State, Request], Awaitable[Response]]
) -> Callable[[Request], Awaitable[Response]]:
    """The handler behind the administrator's key."""

    async def answer(request: Request) -> Response:
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(key.encode(), state.options.admin_key.encode()):
            return Problem(401, "the administrator's key is missing or wrong").answer()
        try:
            return await handler(state, request)
        except Problem as problem:
            return problem.answer()

    return answer


async def show(state: State, _request: Request) -> Response:
    """``GET /sim/state``."""
    now = time.time()
    pods = state.cloud.all()
    own = [pod for pod in pods if not pod.foreign]
    living = Counter(pod.name for pod in own if not pod.gone and pod.endpoint is None)
    living.update(endpoint.name for endpoint in state.fleet.all())
    return JSONResponse(
        {
            "pods": [_pod(pod, now) for pod in pods],
            "living": [pod.id for pod in own if not pod.gone],
            "endpoints": [{"id": endpoint.id, "name": endpoint.name} for endpoint in state.fleet.all()],
            "foreign": [pod.id for pod in pods if pod.foreign and not pod.gone],
            "processes": [pid for pod in own for pid in _pids(pod)],
            "creates": dict(state.events.creates),
            "deletes": dict(state.events.deletes),
            "doubles": sorted(name for name, count in living.items() if count > 1),
            "ever_doubled": sorted(state.events.doubled),
            "requests": dict(state.events.requests),
            "invoice_usd": sum(pod.meter.usd(0.0, now) for pod in own),
            "faults": [fault.model_dump(exclude_defaults=True) for fault in state.faults.waiting()],
            "events": state.events.latest(),
        }
    )


async def inject(state: State, request: Request) -> Response:
    """``POST /sim/faults``: one fault, as an object."""
    state.faults.add(await read(request, Fault))
    return Response(status_code=204)


async def clear(state: State, _request: Request) -> Response:
    """``DELETE /sim/faults``: none waits any more."""
    state.faults.clear()
    return Response(status_code=204)


async def kill(state: State, request: Request) -> Response:
    """``POST /sim/pods/{id}/kill``: its process dies."""
    state.cloud.kill(_known(state, request))
    return Response(status_code=204)


async def restart(state: State, request: Request) -> Response:
    """``POST /sim/pods/{id}/restart``: its process is started anew, on another port."""
    state.cloud.restart(_known(state, request))
    return Response(status_code=204)


def _known(state: State, request: Request) -> Pod:
    pod = state.cloud.peek(request.path_params["id"])
    if pod is None or pod.gone:
        raise not_found("pod", request.path_params["id"])
    return pod


def _pod(pod: Pod, now: float) -> dict[str, Any]:
    return {
        "id": pod.id,
        "name": pod.name,
        "status": pod.status,
        "foreign": pod.foreign,
        "endpoint": pod.endpoint,
        "gone": pod.gone,
        "created_at": pod.created_at,
        "terminated_at": pod.terminated_at,
        "gpu": pod.asked.get("gpu"),
        "usd_per_hour": pod.usd_per_hour,
        "usd": pod.meter.usd(0.0, now),
        "deletes": pod.deletes,
        "restarts": pod.restarts,
        "port": None if pod.process is None else pod.process.port(),
        "pid": None if pod.process is None else pod.process.pid,
        "process_alive": pod.process is not None and pod.process.exit_code is None,
        "tags": {name: pod.env[name] for name in _TAGS if name in pod.env},
        "fault": None if pod.fault is None else pod.fault.kind,
    }


def _pids(pod: Pod) -> list[int]:
    """The processes of a pod that live, with all that they started."""
    if pod.process is None or pod.process.exit_code is not None:
        return []
    try:
        return [
            pod.process.pid,
            *(child.pid for child in psutil.Process(pod.process.pid).children(recursive=True)),
        ]
    except psutil.Error:
        return []
