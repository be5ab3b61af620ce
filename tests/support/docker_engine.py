"""A stand-in for the Docker Engine: its documented routes on a unix socket, with local processes as containers.

Run as a program. A container's process is started with the server's command, ``--host`` and ``--port`` of a free
port of the loopback, and nothing but its own environment. ``PUT /stand-in/faults`` takes one-time faults by name:
``create``, ``start``, ``remove`` as ``[status, message]``, ``create-silent`` and ``start-silent`` (done, and never
answered).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

PING = {"Api-Version": "1.47", "Docker-Experimental": "false", "Ostype": "linux"}
NO_DRIVER = 'could not select device driver "nvidia" with capabilities: [[gpu]]'
INHERITED = ("PATH", "PYTHONPATH", "PYTEST_OF_CONDUIT", "VIRTUAL_ENV")


class Problem(Exception):
    def __init__(self, status: int, message: str):
        self.status, self.message = status, message


@dataclass
class Container:
    name: str
    body: dict
    log: Path
    id: str = field(default_factory=lambda: secrets.token_hex(32))
    created: float = field(default_factory=time.time)
    state: str = "created"
    exit_code: int = 0
    port: int | None = None
    process: asyncio.subprocess.Process | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            if number == signal.SIGKILL:
                os.killpg(self.process.pid, number)
            else:
                self.process.send_signal(number)

    def ports(self) -> list[dict]:
        if self.state != "running":
            return []
        (bound,) = self.body["HostConfig"]["PortBindings"]["8000/tcp"]
        return [{"IP": bound["HostIp"], "PrivatePort": 8000, "PublicPort": self.port, "Type": "tcp"}]


class Engine:
    def __init__(self, given: argparse.Namespace):
        self.server = json.loads(given.server)
        self.images, self.registry = set(given.image), set(given.registry)
        self.folder, self.nvidia = Path(given.folder), given.nvidia
        self.containers: dict[str, Container] = {}
        self.faults: dict[str, list] = {}

    def fault(self, name: str) -> list | None:
        return self.faults.pop(name, None)

    def stumble(self, name: str) -> None:
        if found := self.fault(name):
            raise Problem(*found)

    def find(self, request: Request) -> Container:
        wanted = request.path_params["id"]
        for one in self.containers.values():
            if wanted == one.name or one.id.startswith(wanted):
                return one
        raise Problem(404, f"No such container: {wanted}")

    async def ping(self, request: Request) -> Response:
        return PlainTextResponse("OK", headers=PING)

    async def version(self, request: Request) -> Response:
        return JSONResponse({"Version": "27.0", "ApiVersion": "1.47", "MinAPIVersion": "1.24", "Os": "linux"})

    async def set_faults(self, request: Request) -> Response:
        self.faults = await request.json()
        return Response(status_code=204)

    async def image(self, request: Request) -> Response:
        name = full(request.path_params["name"])
        if name not in self.images:
            raise Problem(404, f"No such image: {name}")
        return JSONResponse({"Id": "sha256:0", "RepoTags": [name]})

    async def pull(self, request: Request) -> Response:
        name = full(f"{request.query_params['fromImage']}:{request.query_params['tag']}")
        if name not in self.registry:
            raise Problem(404, f"pull access denied for {name}, repository does not exist")

        async def lines():
            for current in (1, 2, 3):
                detail = {"current": current * 1024**2, "total": 3 * 1024**2}
                yield json.dumps({"status": "Downloading", "id": "layer", "progressDetail": detail}) + "\r\n"
                await asyncio.sleep(0)
            if "broken" in name:
                yield (
                    json.dumps({"errorDetail": {"message": "no space left"}, "error": "no space left"})
                    + "\r\n"
                )
            else:
                self.images.add(name)

        return StreamingResponse(lines(), media_type="application/json")

    async def create(self, request: Request) -> Response:
        self.stumble("create")
        name, body = request.query_params["name"], await request.json()
        if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", name):
            raise Problem(400, f"Invalid container name ({name})")
        for one in self.containers.values():
            if one.name == name:
                raise Problem(409, f'Conflict. The container name "/{name}" is already in use by "{one.id}".')
        if full(body["Image"]) not in self.images:
            raise Problem(404, f"No such image: {body['Image']}")
        for mount in body["HostConfig"]["Mounts"]:
            if mount["Type"] == "bind" and not os.path.exists(mount["Source"]):  # noqa: ASYNC240
                raise Problem(
                    400, f"invalid mount config: bind source path does not exist: {mount['Source']}"
                )
        made = Container(name, body, self.folder / f"{name}.log")
        self.containers[made.id] = made
        if self.fault("create-silent"):
            await asyncio.Event().wait()
        return JSONResponse({"Id": made.id, "Warnings": []}, 201)

    async def start(self, request: Request) -> Response:
        one = self.find(request)
        self.stumble("start")
        if one.state == "running":
            return Response(status_code=304)
        if one.body["HostConfig"].get("DeviceRequests") and not self.nvidia:
            raise Problem(500, NO_DRIVER)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            one.port = probe.getsockname()[1]
        with one.log.open("wb") as log:
            one.process = await asyncio.create_subprocess_exec(
                *self.server,
                "--host",
                "127.0.0.1",
                "--port",
                str(one.port),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(one.body),
                start_new_session=True,
            )
        one.state = "running"
        one.waiting = asyncio.create_task(self.wait(one))
        if self.fault("start-silent"):
            await asyncio.Event().wait()
        return Response(status_code=204)

    async def wait(self, one: Container) -> None:
        code = await one.process.wait()
        one.signal(signal.SIGKILL)  # nothing of a container outlives its first process
        one.exit_code, one.state = (code if code >= 0 else 128 - code), "exited"
        one.ended.set()

    async def stop(self, request: Request) -> Response:
        one = self.find(request)
        if one.state != "running":
            return Response(status_code=304)
        one.signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(one.ended.wait(), float(request.query_params.get("t", 10)))
        except TimeoutError:
            one.signal(signal.SIGKILL)
            await one.ended.wait()
        return Response(status_code=204)

    async def kill(self, request: Request) -> Response:
        one = self.find(request)
        if one.state != "running":
            raise Problem(409, f"cannot kill container: {one.id}: container is not running")
        one.signal(signal.SIGKILL)
        return Response(status_code=204)

    async def remove(self, request: Request) -> Response:
        one = self.find(request)
        self.stumble("remove")
        if one.state == "running":
            if request.query_params.get("force", "false") not in ("1", "true"):
                raise Problem(409, "cannot remove container: container is running: stop it or force")
            one.signal(signal.SIGKILL)
            await one.ended.wait()
        del self.containers[one.id]
        return Response(status_code=204)

    async def list(self, request: Request) -> Response:
        wanted = json.loads(request.query_params.get("filters", "{}"))
        wanted = wanted.get("label", ())
        # The command line sends a set as an object.
        labels = [label.partition("=") for label in wanted]
        found = []
        for one in self.containers.values():
            has = one.body.get("Labels") or {}
            fits = all(name in has and (not sign or has[name] == value) for name, sign, value in labels)
            if fits and (one.state == "running" or request.query_params.get("all") in ("1", "true")):
                found.append(
                    {
                        "Id": one.id,
                        "Names": [f"/{one.name}"],
                        "Image": one.body["Image"],
                        "Command": "conduit-gpu-server",
                        "Created": int(one.created),
                        "Ports": one.ports(),
                        "Labels": has,
                        "State": one.state,
                        "Status": one.state,
                    }
                )
        return JSONResponse(found)

    async def inspect(self, request: Request) -> Response:
        one = self.find(request)
        state = {"Status": one.state, "Running": one.state == "running", "ExitCode": one.exit_code}
        return JSONResponse(
            {
                "Id": one.id,
                "Name": f"/{one.name}",
                "State": {**state, "Pid": one.process.pid if one.state == "running" else 0},
                "Config": {"Labels": one.body["Labels"], "Env": one.body["Env"], "Tty": False},
                "HostConfig": one.body["HostConfig"],
            }
        )

    async def logs(self, request: Request) -> Response:
        one = self.find(request)
        lines = one.log.read_bytes().splitlines(keepends=True) if one.log.exists() else []
        tail = request.query_params.get("tail", "all")
        kept = lines if tail == "all" else lines[-int(tail) :]
        # Stream 2 is stderr; a frame a line, as Docker's log driver keeps them.
        frames = b"".join(bytes([2, 0, 0, 0]) + len(line).to_bytes(4, "big") + line for line in kept)
        return Response(frames, media_type="application/vnd.docker.multiplexed-stream")

    def app(self) -> Starlette:
        def route(path: str, method: str, endpoint) -> Route:
            return Route(f"/v{{version}}{path}", endpoint, methods=[method])

        async def refused(request: Request, problem: Problem) -> Response:
            return JSONResponse({"message": problem.message}, problem.status)

        return Starlette(
            routes=[
                Route("/_ping", self.ping, methods=["GET", "HEAD"]),
                Route("/stand-in/faults", self.set_faults, methods=["PUT"]),
                route("/version", "GET", self.version),
                route("/images/create", "POST", self.pull),
                route("/images/{name:path}/json", "GET", self.image),
                route("/containers/create", "POST", self.create),
                route("/containers/json", "GET", self.list),
                route("/containers/{id}/json", "GET", self.inspect),
                route("/containers/{id}/start", "POST", self.start),
                route("/containers/{id}/stop", "POST", self.stop),
                route("/containers/{id}/kill", "POST", self.kill),
                route("/containers/{id}/logs", "GET", self.logs),
                route("/containers/{id}", "DELETE", self.remove),
            ],
            exception_handlers={Problem: refused},
        )

    async def end(self) -> None:
        running = [one for one in self.containers.values() if one.state == "running"]
        for one in running:
            one.signal(signal.SIGKILL)
        for one in running:
            await one.ended.wait()


def full(image: str) -> str:
    return image if ":" in image.rpartition("/")[2] else f"{image}:latest"


def environment(body: dict) -> dict[str, str]:
    own = dict(variable.split("=", 1) for variable in body["Env"])
    for mount in body["HostConfig"]["Mounts"]:
        if mount["Type"] == "bind":
            # There is no namespace here, so what is mounted is named by where it lies.
            own["GPU_SERVER_CONFIG"] = own["GPU_SERVER_CONFIG"].replace(mount["Target"], mount["Source"])
    return {**{name: os.environ[name] for name in INHERITED if name in os.environ}, **own}


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--server", required=True, help="JSON list")
    parser.add_argument("--image", action="append", default=[])
    parser.add_argument("--registry", action="append", default=[])
    parser.add_argument("--nvidia", action="store_true")
    given = parser.parse_args()
    engine = Engine(given)
    # uvicorn sends itself the signal again when it has ended, which would leave the containers.
    signal.signal(signal.SIGTERM, lambda *_: None)
    options = {"log_level": "warning", "timeout_graceful_shutdown": 1, "lifespan": "off"}
    try:
        await uvicorn.Server(uvicorn.Config(engine.app(), uds=given.socket, **options)).serve()
    finally:
        await engine.end()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
