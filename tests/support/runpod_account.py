"""A RunPod account in memory behind httpx's mock transport: it answers as the API does, or as it is told to.

For unit tests, which open no socket; what a whole account does over time is the simulator's.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx

from conduit.compute import Offering

if TYPE_CHECKING:
    from collections.abc import Callable


L4 = Offering(
    provider="runpod", gpu="NVIDIA L4", name="NVIDIA L4", gpu_count=1, memory_gib=22.0, usd_per_hour=0.39
)
KEY = "rpa_KEYTHATMUSTNOTSHOW"
PROBLEM = "application/problem+json"


def pod(**changes: Any) -> dict[str, Any]:
    """A pod as RunPod shows it, shortly after its creation."""
    return {
        "actions": ["stop", "restart", "terminate"],
        "args": "",
        "cloud": "SECURE",
        "cost": 0.72,
        "createdAt": "2026-08-20T06:16:19.436Z",
        "cudaVersion": "13.0",
        "dataCenterId": "EU-RO-1",
        "disk": 30,
        "env": {},
        "globalNetworking": {"enabled": False},
        "gpu": {"count": 1, "id": "NVIDIA L4"},
        "id": "5xpma5eg46tqjq",
        "image": "server:1",
        "locked": False,
        "mounts": {},
        "name": "somebody-elses",
        "ports": ["8000/http"],
        "registry": None,
        "runtime": None,
        "ssh": {"direct": None, "proxy": None},
        "startedAt": None,
        "status": "RUNNING",
        "template": None,
    } | changes


def gpu_type(**changes: Any) -> dict[str, Any]:
    """An entry of the catalogue."""
    return {
        "id": "NVIDIA L4",
        "name": "L4",
        "pool": "AMPERE_24",
        "manufacturer": "NVIDIA",
        "memory": 24,
        "secure": True,
        "community": False,
        "price": {"secure": 0.39, "community": 0.0, "serverless": 0.69},
        "maxCount": {"secure": 8, "community": 0},
        "availability": "HIGH",
        "dataCenters": [
            {"id": "EU-RO-1", "name": "EU Romania 1", "availability": "LOW"},
            {"id": "US-KS-2", "name": "US Kansas 2", "availability": "HIGH"},
        ],
    } | changes


def problem(status: int, detail: str, **headers: str) -> httpx.Response:
    """A problem document."""
    document = {"title": "Some title", "status": status, "detail": detail}
    return httpx.Response(status, headers={"Content-Type": PROBLEM, **headers}, content=json.dumps(document))


class Account:
    """The account.

    Attributes:
        pods: By id.
        endpoints: By id.
        volumes: By id.
        types: The catalogue.
        asked: Every request that came, oldest first.
        answers: Told answers, by method and path without ids; each is used for all that fit.
    """

    def __init__(self) -> None:
        self.pods: dict[str, dict[str, Any]] = {}
        self.endpoints: dict[str, dict[str, Any]] = {}
        self.volumes: dict[str, dict[str, Any]] = {}
        self.types = [gpu_type()]
        self.asked: list[httpx.Request] = []
        self.answers: dict[str, Callable[[httpx.Request], httpx.Response]] = {}

    @property
    def transport(self) -> httpx.MockTransport:
        """What a client is given in place of the network."""
        return httpx.MockTransport(self._answer)

    @property
    def asked_for(self) -> list[str]:
        """Method and path of every request."""
        return [f"{request.method} {request.url.path}" for request in self.asked]

    def answer(self, where: str, response: httpx.Response | Exception) -> None:
        """Has every such request answered so; ``where`` is as ``POST /v2/pods``."""

        def told(_request: httpx.Request) -> httpx.Response:
            if isinstance(response, Exception):
                raise response
            return httpx.Response(response.status_code, headers=response.headers, content=response.content)

        self.answers[where] = told

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return problem(401, "invalid bearer token")
        path = request.url.path.removeprefix("/v2/")
        for where, told in self.answers.items():
            method, _, prefix = where.partition(" ")
            if request.method == method and request.url.path.startswith(prefix):
                return told(request)
        if path == "catalog/gpus":
            return httpx.Response(200, json={"gpus": self.types})
        shelves = {"pods": self.pods, "serverless": self.endpoints, "network-volumes": self.volumes}
        shelf, _, known_as = path.partition("/")
        return self._on_shelf(request, shelf, shelves[shelf], known_as)

    def _on_shelf(
        self, request: httpx.Request, shelf: str, things: dict[str, dict[str, Any]], known_as: str
    ) -> httpx.Response:
        if request.method == "POST":
            body = json.loads(request.content)
            made = pod(**body, id=f"{shelf}{len(things)}", status="PROVISIONING")
            things[made["id"]] = made
            return httpx.Response(201, json=made)
        if not known_as:
            name = {"serverless": "endpoints"}.get(shelf, shelf)
            return httpx.Response(200, json={name: list(things.values())})
        if known_as not in things:
            return problem(404, f"{known_as} not found")
        if request.method == "DELETE":
            del things[known_as]
            return httpx.Response(204)
        return httpx.Response(200, json=things[known_as])
