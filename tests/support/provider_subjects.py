"""The providers of Conduit as subjects of the contract, each with what it needs: an engine, a host, a folder.

Where a model would add nothing, ``stand_in_server`` stands in a node's server's place.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from conduit.compute import NodeSpec, NodeView, Owner, Provider, load_owner, new_node_id
from conduit.compute.contract import Party, Subject
from conduit.compute.docker import DockerProvider
from conduit.compute.docker.engine import Engine
from conduit.compute.local import LocalProvider
from conduit.compute.ssh import SshProvider
from conduit.settings import Settings, SshHost
from conduit.testing import FakeProvider
from support import docker_engine, stand_in_server
from support.ssh_host import SshHost as Host

SERVER = (sys.executable, str(Path(stand_in_server.__file__).absolute()))
IMAGE = "conduit-gpu-server:cpu"
Make = Callable[[str], Provider]


def spec(owner: Owner, **config: Any) -> NodeSpec:
    return NodeSpec(new_node_id(), owner.id, "key", "project", {"models": [], **config})


def owner(folder: Path, name: str = "mine") -> Owner:
    return load_owner(Settings(data_dir=folder / name))


def processes_of(node_id: str) -> list[psutil.Process]:
    """A node's living processes, found without the providers' own code."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("CONDUIT_NODE") == node_id and process.status() != "zombie":
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


async def crash(view: NodeView) -> None:
    found = processes_of(view.node_id)
    assert found
    for process in found:
        process.kill()


@asynccontextmanager
async def subject_of(folder: Path, make: Make, *, reopen: bool = True, **more: Any) -> AsyncIterator[Subject]:
    """A subject of the providers that ``make`` gives to ``mine`` and ``theirs``."""
    mine, theirs = (Party(make(name), owner(folder, name)) for name in ("mine", "theirs"))
    given = {"crash": crash, "reopen": (lambda: make("mine")) if reopen else None} | more
    try:
        yield Subject(mine, theirs, spec, **given)
    finally:
        await mine.provider.aclose()
        await theirs.provider.aclose()


def local(folder: Path) -> Make:
    return lambda name: LocalProvider(folder / name, owner(folder, name), server=SERVER, term_wait_s=5.0)


class DockerEngine:
    """A stand-in engine as a process of its own."""

    def __init__(self, folder: Path, server: tuple[str, ...], arguments: tuple[str, ...]):
        self.socket = folder / "docker.sock"
        self.folder = folder
        with (folder / "engine.log").open("wb") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    docker_engine.__file__,
                    *("--socket", str(self.socket), "--folder", str(folder), "--server", json.dumps(server)),
                    *arguments,
                ],
                stdout=log,
                stderr=log,
            )

    @property
    def address(self) -> str:
        return f"unix://{self.socket}"

    def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(self.socket)), timeout=20) as client:
            return client.request(method, f"http://docker{path}", **more)

    def fault(self, **faults: Any) -> None:
        self.call("PUT", "/stand-in/faults", json=faults).raise_for_status()

    def wait(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            assert self.process.poll() is None, (self.folder / "engine.log").read_text()
            with socket.socket(socket.AF_UNIX) as probe:
                if probe.connect_ex(str(self.socket)) == 0:
                    return
            assert time.monotonic() < deadline
            time.sleep(0.05)

    @contextmanager
    def hanging(self) -> Iterator[None]:
        process = psutil.Process(self.process.pid)
        process.suspend()
        try:
            yield
        finally:
            process.resume()


@contextmanager
def docker_engine_at(
    folder: Path, *arguments: str, server: tuple[str, ...] = SERVER, images: tuple[str, ...] = (IMAGE,)
) -> Iterator[DockerEngine]:
    folder.mkdir(parents=True, exist_ok=True)
    named = [argument for image in images for argument in ("--image", image)]
    engine = DockerEngine(folder, server, (*named, *arguments))
    try:
        engine.wait()
        yield engine
    finally:
        engine.process.terminate()
        engine.process.wait(20)


def docker(folder: Path, engine: DockerEngine, timeout_s: float = 2.0, **more: Any) -> Make:
    options = {"term_wait_s": 1.0, "kill_wait_s": 2.0} | more
    return lambda name: DockerProvider(
        folder / name, owner(folder, name), engine=Engine(engine.address, timeout_s=timeout_s), **options
    )


def ssh(folder: Path, host: Host, **more: Any) -> Make:
    options = {"connect_s": 20.0, "answer_s": 30.0, "term_wait_s": 1.0, "kill_wait_s": 5.0} | more
    place = SshHost(host=host.address, server=SERVER)
    return lambda name: SshProvider([place], owner(folder, name), known_hosts=host.known_hosts, **options)


@asynccontextmanager
async def fake(folder: Path) -> AsyncIterator[Subject]:
    provider = FakeProvider()

    async def kill(view: NodeView) -> None:
        provider.kill(view.node_id)

    mine, theirs = (
        Party(provider if name == "mine" else FakeProvider(), owner(folder, name))
        for name in ("mine", "theirs")
    )
    yield Subject(mine, theirs, spec, crash=kill, reopen=lambda: provider, serves=False)
