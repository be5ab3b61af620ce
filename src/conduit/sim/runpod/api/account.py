"""The routes of what an account keeps: templates, network volumes, registries and SSH keys."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from conduit.sim.runpod.api import query
from conduit.sim.runpod.api.state import State
from conduit.sim.runpod.bodies import Body, Container, CudaVersion, Named, PersistentMount, read
from conduit.sim.runpod.catalog import DATA_CENTERS
from conduit.sim.runpod.pods.pod import new_id
from conduit.sim.runpod.problems import Problem

TEMPLATE, VOLUME, REGISTRY = "template", "network volume", "registry"
Size = Annotated[int, Field(ge=10, le=4096)]
SshKey = Annotated[str, Field(pattern=r"^(ssh|ecdsa|sk)-[^\s]+ [^\s]+([ \t][^\n\r]*)?$")]


class TemplateMounts(Body):
    """A template can have a host's disk only."""

    persistent: PersistentMount | None = None


class UpdateTemplate(Container):
    """``PATCH /v2/templates/{id}``."""

    name: Named | None = None
    allowedCudaVersions: list[CudaVersion] | None = None
    category: Literal["CPU", "NVIDIA", "AMD"] | None = None
    mounts: TemplateMounts | None = None
    public: bool | None = None
    serverless: bool | None = None
    startJupyter: bool | None = None
    startSsh: bool | None = None


class CreateTemplate(UpdateTemplate):
    """``POST /v2/templates``."""

    name: Named
    image: str


class CreateVolume(Body):
    """``POST /v2/network-volumes``."""

    name: Named
    size: Size
    dataCenter: Named
    type: Literal["STANDARD", "HIGH_PERFORMANCE"] | None = None


class UpdateVolume(Body):
    """``PATCH /v2/network-volumes/{id}``."""

    name: Named | None = None
    size: Size | None = None


class CreateRegistry(Body):
    """``POST /v2/registries``."""

    name: Named
    username: Named
    password: Named


class SshKeys(Body):
    """``PUT /v2/account/ssh-keys``."""

    keys: list[SshKey]


async def list_templates(state: State, _request: Request) -> Response:
    """``GET /v2/templates``."""
    return JSONResponse({"templates": state.shelf.all(TEMPLATE)})


async def public_templates(_state: State, request: Request) -> Response:
    """``GET /v2/catalog/templates``: nobody has published one here."""
    query.text(request, "source", ("official", "verified", "community"))
    return JSONResponse({"templates": []})


async def create_template(state: State, request: Request) -> Response:
    """``POST /v2/templates``."""
    body = await read(request, CreateTemplate)
    document = {
        "id": new_id(10),
        "args": "",
        "disk": 50,
        "mounts": {},
        "ports": [],
        "env": {},
        "registry": None,
        "serverless": False,
        "public": False,
        "category": "NVIDIA",
        "startSsh": True,
        "startJupyter": True,
        "allowedCudaVersions": [],
        **body.given(),
    }
    return JSONResponse(state.shelf.put(TEMPLATE, document), 201)


async def get_template(state: State, request: Request) -> Response:
    """``GET /v2/templates/{id}``."""
    return JSONResponse(state.shelf.get(TEMPLATE, request.path_params["id"]))


async def update_template(state: State, request: Request) -> Response:
    """``PATCH /v2/templates/{id}``."""
    body = await read(request, UpdateTemplate)
    had = state.shelf.get(TEMPLATE, request.path_params["id"])
    return JSONResponse(state.shelf.put(TEMPLATE, {**had, **body.given()}))


async def delete_template(state: State, request: Request) -> Response:
    """``DELETE /v2/templates/{id}``."""
    wanted = request.path_params["id"]
    if any(pod.template == wanted and not pod.gone for pod in state.cloud.all()):
        raise Problem(400, f"template {wanted} is used by a pod")
    state.shelf.remove(TEMPLATE, wanted)
    return Response(status_code=204)


async def list_volumes(state: State, _request: Request) -> Response:
    """``GET /v2/network-volumes``."""
    return JSONResponse({"networkVolumes": state.shelf.all(VOLUME)})


async def create_volume(state: State, request: Request) -> Response:
    """``POST /v2/network-volumes``."""
    body = await read(request, CreateVolume)
    place = DATA_CENTERS.get(body.dataCenter)
    if place is None:
        raise Problem(400, f"data center {body.dataCenter!r} does not exist")
    if not place.volumes or body.type not in (None, *place.volumes):
        raise Problem(400, f"data center {place.id} has no {body.type or 'network'} volumes")
    document = {"id": new_id(10), "type": place.volumes[0], **body.given()}
    return JSONResponse(state.shelf.put(VOLUME, document), 201)


async def get_volume(state: State, request: Request) -> Response:
    """``GET /v2/network-volumes/{id}``."""
    return JSONResponse(state.shelf.get(VOLUME, request.path_params["id"]))


async def update_volume(state: State, request: Request) -> Response:
    """``PATCH /v2/network-volumes/{id}``."""
    given = (await read(request, UpdateVolume)).given()
    if not given:
        raise Problem(422, "Request validation failed.", errors=["body: at least one field"])
    had = state.shelf.get(VOLUME, request.path_params["id"])
    if given.get("size", had["size"]) < had["size"]:
        raise Problem(400, f"size {given['size']} is below {had['size']}: a volume cannot be reduced")
    return JSONResponse(state.shelf.put(VOLUME, {**had, **given}))


async def delete_volume(state: State, request: Request) -> Response:
    """``DELETE /v2/network-volumes/{id}``."""
    state.shelf.remove(VOLUME, request.path_params["id"])
    return Response(status_code=204)


async def list_registries(state: State, _request: Request) -> Response:
    """``GET /v2/registries``."""
    return JSONResponse({"registries": state.shelf.all(REGISTRY)})


async def create_registry(state: State, request: Request) -> Response:
    """``POST /v2/registries``: its name and password are not kept, since nothing is pulled."""
    body = await read(request, CreateRegistry)
    return JSONResponse(state.shelf.put(REGISTRY, {"id": new_id(10), "name": body.name}), 201)


async def get_registry(state: State, request: Request) -> Response:
    """``GET /v2/registries/{id}``."""
    return JSONResponse(state.shelf.get(REGISTRY, request.path_params["id"]))


async def delete_registry(state: State, request: Request) -> Response:
    """``DELETE /v2/registries/{id}``."""
    state.shelf.remove(REGISTRY, request.path_params["id"])
    return Response(status_code=204)


async def get_ssh_keys(state: State, _request: Request) -> Response:
    """``GET /v2/account/ssh-keys``."""
    return JSONResponse({"keys": state.shelf.ssh_keys})


async def put_ssh_keys(state: State, request: Request) -> Response:
    """``PUT /v2/account/ssh-keys``."""
    keys: dict[str, Any] = (await read(request, SshKeys)).given()
    state.shelf.ssh_keys = keys["keys"]
    return JSONResponse(keys)
