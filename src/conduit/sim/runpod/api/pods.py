"""The routes of pods."""

from __future__ import annotations

import time
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from conduit.sim.runpod import bodies
from conduit.sim.runpod.api import placement, query
from conduit.sim.runpod.api.pod_document import document
from conduit.sim.runpod.api.state import State
from conduit.sim.runpod.bodies import read
from conduit.sim.runpod.problems import Problem


async def list_all(state: State, request: Request) -> Response:
    """``GET /v2/pods``."""
    query.flag(request, "includeClusterPods")  # there are no clusters, but it must be a truth value
    return JSONResponse({"pods": [document(pod, time.time()) for pod in state.cloud.listed()]})


async def create(state: State, request: Request) -> Response:
    """``POST /v2/pods``."""
    body = await read(request, bodies.CreatePod)
    asked, template = placement.settings(state, body)
    place, usd_per_hour = placement.place(state, body, asked)
    pod = state.cloud.create(
        body.name,
        asked,
        cloud=body.cloud,
        place=place,
        usd_per_hour=usd_per_hour,
        template=template,
        global_networking=body.globalNetworking,
    )
    return JSONResponse(document(pod, time.time()), 201)


async def get(state: State, request: Request) -> Response:
    """``GET /v2/pods/{id}``."""
    return JSONResponse(document(state.cloud.get(request.path_params["id"]), time.time()))


async def update(state: State, request: Request) -> Response:
    """``PATCH /v2/pods/{id}``: what is in the body changes, at the next start where it concerns the process."""
    body = await read(request, bodies.UpdatePod)
    pod = state.cloud.get(request.path_params["id"])
    given = body.given()
    placement.check_mounts(body.mounts, is_cpu="cpu" in pod.asked)
    if "mounts" in given:
        _check_same_mounts(pod.asked.get("mounts") or {}, given["mounts"])
        given["mounts"] = {**(pod.asked.get("mounts") or {}), **given["mounts"]}
    if (template := given.pop("templateId", None)) is not None:
        given = {**placement.container_of(state, template), **given}
    pod.name = given.pop("name", pod.name)
    pod.locked = given.pop("locked", pod.locked)
    pod.global_networking = given.pop("globalNetworking", pod.global_networking)
    pod.asked = {**pod.asked, **given}
    return JSONResponse(document(pod, time.time()))


async def delete(state: State, request: Request) -> Response:
    """``DELETE /v2/pods/{id}``."""
    state.cloud.terminate(state.cloud.get(request.path_params["id"]))
    return Response(status_code=204)


async def action(state: State, request: Request) -> Response:
    """``POST /v2/pods/{id}/action``."""
    body = await read(request, bodies.PodAction)
    pod = state.cloud.get(request.path_params["id"])
    await state.cloud.act(pod, body.action)
    if body.action == "terminate":
        return Response(status_code=204)
    return JSONResponse(document(pod, time.time()))


def _check_same_mounts(had: dict[str, Any], given: dict[str, Any]) -> None:
    if given.get("network") == []:
        raise Problem(400, "mounts cannot be cleared: network must name a volume")
    for kind in given:
        if kind not in had:
            raise Problem(400, f"the pod has no {kind} mount, and none can be added")
    if "network" in given and given["network"][0]["volumeId"] != had["network"][0]["volumeId"]:
        raise Problem(400, "the volume of a network mount cannot be changed")
