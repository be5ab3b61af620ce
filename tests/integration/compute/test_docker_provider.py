"""The docker provider beyond the contract, against a stand-in for the engine, which Docker's own client checks."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import anyio
import httpx
import pytest
from pydantic import SecretStr

from conduit.compute import NodeSpec, NodeView, OfferingQuery
from conduit.compute.docker import DockerProvider
from conduit.compute.docker.engine import Engine
from conduit.compute.local import LocalProvider
from conduit.errors import (
    AmbiguousAnswer,
    MissingDependency,
    NoCapacity,
    NodeFailed,
    ProviderRejected,
    ProviderUnavailable,
)
from conduit.lmlite.config import ModelConfig
from conduit.lmlite.nodes.model_files import TINY, locate
from support import provider_subjects as subjects

pytestmark = pytest.mark.anyio

SMI = """#!/bin/sh
echo 'GPU-aaaa, NVIDIA L4, 23034, 8.9'
echo 'GPU-bbbb, NVIDIA L4, 23034, 8.9'
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[subjects.DockerEngine]:
    registry = ("--registry", "there:1", "--registry", "broken:latest")
    with subjects.docker_engine_at(
        tmp_path / "engine", "--nvidia", *registry, images=(subjects.IMAGE, "conduit-gpu-server:latest")
    ) as engine:
        yield engine


@pytest.fixture
def smi(tmp_path: Path) -> str:
    program = tmp_path / "nvidia-smi"
    program.write_text(SMI)
    program.chmod(0o755)
    return str(program)


def provider(tmp_path: Path, engine: subjects.DockerEngine, **more: object) -> DockerProvider:
    made = subjects.docker(tmp_path, engine, timeout_s=10.0, **more)("mine")
    assert isinstance(made, DockerProvider)
    return made


def spec(tmp_path: Path, **config: object) -> NodeSpec:
    return subjects.spec(subjects.owner(tmp_path), **config)


async def until(ask: Callable[[], Awaitable[object]]) -> None:
    deadline = time.monotonic() + 20
    while not await ask():
        assert time.monotonic() < deadline, "it did not happen in time"
        await anyio.sleep(0.02)


async def none_left(docker: DockerProvider, owner: str) -> bool:
    return await docker.list_owned(owner) == []


@pytest.fixture
async def gpu_node(tmp_path: Path, engine: subjects.DockerEngine, smi: str) -> NodeView:
    docker = provider(tmp_path, engine, nvidia_smi=smi)
    (offering,) = await docker.offerings(OfferingQuery(gpu="NVIDIA L4"))
    return await docker.create(replace(spec(tmp_path), offering=offering))


async def test_gpus_are_offered_once_and_handed_on_whole(
    tmp_path: Path, engine: subjects.DockerEngine, smi: str, gpu_node: NodeView
):
    docker = provider(tmp_path, engine, nvidia_smi=smi)
    one, two = await docker.offerings(OfferingQuery(gpu_counts=(1, 2, 4)))
    assert (one.name, one.gpu_count, one.availability) == ("NVIDIA L4", 1, "high")
    assert (two.gpu_count, two.availability) == (2, "none")
    assert one.memory_gib == pytest.approx(22.49, abs=0.01)
    with pytest.raises(NoCapacity, match="of the 2 of this machine 1 "):
        await docker.create(replace(spec(tmp_path), offering=two))
    other = await docker.create(replace(spec(tmp_path), offering=one))
    inspected = [
        engine.call("GET", f"/v1.47/containers/{node.handle['id']}/json").json() for node in (gpu_node, other)
    ]
    requests = [one["HostConfig"]["DeviceRequests"] for one in inspected]
    assert [r[0]["DeviceIDs"] for r in requests] == [["GPU-aaaa"], ["GPU-bbbb"]]
    assert requests[0][0] == {"Driver": "nvidia", "DeviceIDs": ["GPU-aaaa"], "Capabilities": [["gpu"]]}
    await docker.destroy(gpu_node.node_id)
    assert {o.availability for o in await docker.offerings(OfferingQuery())} == {"high"}


async def test_nodes_that_start_at_once_get_a_gpu_each(
    tmp_path: Path, engine: subjects.DockerEngine, smi: str
):
    docker = provider(tmp_path, engine, nvidia_smi=smi)
    (offering,) = await docker.offerings(OfferingQuery())
    refused = []

    async def create() -> None:
        try:
            await docker.create(replace(spec(tmp_path), offering=offering))
        except NoCapacity as error:
            refused.append(error)

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(create)
    assert len(refused) == 2
    labels = [c["Labels"]["CONDUIT_NODE_GPUS"] for c in engine.call("GET", "/v1.47/containers/json").json()]
    assert sorted(labels) == ["GPU-aaaa", "GPU-bbbb"]


async def test_a_container_is_made_as_promised(tmp_path: Path, engine: subjects.DockerEngine):
    docker = provider(tmp_path, engine, hf_token=SecretStr("hf_secret"))
    (tmp_path / "model").mkdir()
    models = [{"model_id": "a", "path": str(tmp_path / "model")}]
    node = replace(spec(tmp_path, models=models, tls_certificate="/c", tls_key="/k"), expires_at=1e9)
    view = await docker.create(node)
    made = engine.call("GET", f"/v1.47/containers/{view.handle['id']}/json").json()
    host = made["HostConfig"]
    assert host["PortBindings"] == {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}
    assert host["RestartPolicy"] == {"Name": "no"}
    assert host["ShmSize"] == 1024**3
    assert "DeviceRequests" not in host
    volume, folder = host["Mounts"]
    assert (volume["Type"], volume["Source"], volume["Target"]) == ("volume", "conduit-models", "/models")
    assert (folder["Source"], folder["ReadOnly"]) == (str(tmp_path / "model"), True)
    variables = dict(v.split("=", 1) for v in made["Config"]["Env"])
    assert variables["HF_TOKEN"] == "hf_secret"
    assert variables["CONDUIT_EXPIRES_AT"] == made["Config"]["Labels"]["CONDUIT_EXPIRES_AT"] == "1000000000"
    assert folder["Target"] in variables["GPU_SERVER_CONFIG"]
    assert "tls_" not in variables["GPU_SERVER_CONFIG"]
    assert not any(
        secret in str(made["Config"]["Labels"]) for secret in ("hf_secret", variables["GPU_SERVER_TOKEN"])
    )


async def test_what_runs_in_containers_is_not_taken_for_a_process_of_this_machine(
    tmp_path: Path, engine: subjects.DockerEngine
):
    owner = subjects.owner(tmp_path)
    view = await provider(tmp_path, engine).create(spec(tmp_path))
    await until(lambda: anyio.to_thread.run_sync(subjects.processes_of, view.node_id))
    assert await LocalProvider(tmp_path / "mine", owner).list_owned(owner.id) == []


async def test_a_missing_image_is_pulled_with_its_progress_in_the_log(
    tmp_path: Path,
    engine: subjects.DockerEngine,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("conduit.compute.docker.images._TELL_S", 0.0)
    with caplog.at_level(logging.INFO, logger="conduit.compute.docker"):
        view = await provider(tmp_path, engine, image="there:1").create(spec(tmp_path))
    assert view.alive
    assert "pulling there:1: 2 of 3 MiB" in caplog.text


@pytest.mark.parametrize(("image", "said"), [("nowhere", "pull access denied"), ("broken", "no space left")])
async def test_an_image_that_cannot_be_had_is_said_with_the_remedy(
    tmp_path: Path, engine: subjects.DockerEngine, image: str, said: str
):
    docker, node = provider(tmp_path, engine, image=image), spec(tmp_path)
    with pytest.raises(NodeFailed, match=said) as caught:
        await docker.create(node)
    assert "CONDUIT_DOCKER_IMAGE" in str(caught.value.hint)
    assert await docker.get(node.node_id) is None


async def test_without_the_nvidia_runtime_the_remedy_is_named_and_nothing_is_left(
    tmp_path: Path, engine: subjects.DockerEngine, smi: str
):
    docker = provider(tmp_path, engine, nvidia_smi=smi)
    (offering,) = await docker.offerings(OfferingQuery())
    engine.fault(start=[500, 'could not select device driver "nvidia" with capabilities: [[gpu]]'])
    node = replace(spec(tmp_path), offering=offering)
    with pytest.raises(MissingDependency, match="could not select device driver") as caught:
        await docker.create(node)
    assert "NVIDIA Container Toolkit" in str(caught.value.hint)
    assert await docker.get(node.node_id) is None


async def test_a_container_that_does_not_start_is_removed(tmp_path: Path, engine: subjects.DockerEngine):
    docker, node = provider(tmp_path, engine), spec(tmp_path)
    engine.fault(start=[500, "driver failed programming external connectivity: port is already allocated"])
    with pytest.raises(NodeFailed, match="already allocated"):
        await docker.create(node)
    assert await docker.get(node.node_id) is None


async def test_one_that_can_neither_start_nor_be_removed_is_ambiguous_and_listed(
    tmp_path: Path, engine: subjects.DockerEngine
):
    docker, node = provider(tmp_path, engine), spec(tmp_path)
    engine.fault(start=[500, "no"], remove=[500, "neither"])
    with pytest.raises(AmbiguousAnswer, match="could not be removed"):
        await docker.create(node)
    assert [view.node_id for view in await docker.list_owned(node.owner)] == [node.node_id]
    await docker.destroy(node.node_id)
    assert await docker.list_owned(node.owner) == []


async def test_no_answer_to_a_creation_is_ambiguous_and_what_came_of_it_is_found(
    tmp_path: Path, engine: subjects.DockerEngine
):
    docker, node = subjects.docker(tmp_path, engine, timeout_s=1.0)("mine"), spec(tmp_path)
    engine.fault(**{"create-silent": [0]})
    with pytest.raises(AmbiguousAnswer, match="no answer to POST /containers/create"):
        await docker.create(node)
    (left,) = await docker.list_owned(node.owner)
    assert left.node_id == node.node_id
    await docker.destroy(node.node_id)
    assert await docker.get(node.node_id) is None, "it never ran, so nothing is kept"


async def test_no_answer_to_a_start_leaves_nothing(tmp_path: Path, engine: subjects.DockerEngine):
    docker, node = subjects.docker(tmp_path, engine, timeout_s=1.0)("mine"), spec(tmp_path)
    engine.fault(**{"start-silent": [0]})
    with pytest.raises(NodeFailed, match="given up and removed"):
        await docker.create(node)
    assert await docker.get(node.node_id) is None
    assert subjects.processes_of(node.node_id) == []


async def test_a_cancelled_creation_leaves_nothing(tmp_path: Path, engine: subjects.DockerEngine):
    docker, node = provider(tmp_path, engine), spec(tmp_path)
    engine.fault(**{"start-silent": [0]})
    with anyio.move_on_after(1.0) as scope:
        await docker.create(node)
    assert scope.cancelled_caught
    await until(lambda: none_left(docker, node.owner))
    assert subjects.processes_of(node.node_id) == []


@pytest.mark.parametrize(("status", "error"), [(400, ProviderRejected), (500, AmbiguousAnswer)])
async def test_an_error_of_the_engine_is_told_in_its_own_words(
    tmp_path: Path, engine: subjects.DockerEngine, status: int, error: type[Exception]
):
    engine.fault(create=[status, "invalid reference format"])
    with pytest.raises(
        error, match=f"answered {status} when asked for a container: invalid reference format"
    ):
        await provider(tmp_path, engine).create(spec(tmp_path))


async def test_a_node_that_ends_by_itself_shows_its_exit_code_and_log(
    tmp_path: Path, engine: subjects.DockerEngine
):
    docker, node = provider(tmp_path, engine), spec(tmp_path, exit_code=4)
    await docker.create(node)
    await until(lambda: none_left(docker, node.owner))
    ended = await docker.get(node.node_id)
    assert ended is not None
    assert (ended.exit_code, ended.said) == (4, "exited")
    assert "cannot load the model" in await docker.logs(node.node_id)


async def test_a_node_that_ignores_the_request_to_end_is_killed(
    tmp_path: Path, engine: subjects.DockerEngine
):
    docker, node = provider(tmp_path, engine), spec(tmp_path, ignore_term=True, child=True)
    await docker.create(node)
    await until(lambda: docker.logs(node.node_id))
    await docker.destroy(node.node_id)
    assert await docker.list_owned(node.owner) == []
    await until(lambda: anyio.to_thread.run_sync(lambda: not subjects.processes_of(node.node_id)))


async def test_no_engine_is_said_with_the_remedy(tmp_path: Path):
    for address in (f"unix://{tmp_path}/none.sock", "tcp://127.0.0.1:9"):
        docker = DockerProvider(tmp_path, subjects.owner(tmp_path), engine=Engine(address))
        with pytest.raises(ProviderUnavailable, match="No Docker Engine answers") as caught:
            await docker.list_owned("o")
        assert "DOCKER_HOST" in str(caught.value.hint)


async def test_a_real_server_in_a_container_answers_with_a_model(tmp_path: Path):
    path = locate(ModelConfig(TINY)).path
    models = [{"model_id": TINY, "path": str(path), "max_model_len": 512}]
    server = (sys.executable, "-m", "gpu_server")
    with subjects.docker_engine_at(tmp_path / "engine", server=server) as engine:
        docker, node = provider(tmp_path, engine), spec(tmp_path, models=models)
        view = await docker.create(node)
        url = await docker.endpoint(view, 8000)
        token = subjects.owner(tmp_path).token(node.node_id).get_secret_value()
        headers = {"authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=str(url), headers=headers, timeout=30) as client:

            async def ready() -> bool:
                try:
                    return (await client.get("/ready")).status_code == 200
                except httpx.TransportError:
                    return False

            await until(ready)
            body = {"model": TINY, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}
            assert (await client.post("/v1/chat/completions", json=body)).status_code == 200
        await docker.destroy(node.node_id)


@pytest.mark.skipif(shutil.which("docker") is None, reason="Docker's client is not installed")
async def test_dockers_own_client_understands_the_stand_in(tmp_path: Path, engine: subjects.DockerEngine):
    docker, node = provider(tmp_path, engine), spec(tmp_path)
    view = await docker.create(node)
    await until(lambda: docker.logs(node.node_id))

    def client(*arguments: str) -> str:
        command = ["docker", "--host", engine.address, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        return done.stdout + done.stderr

    assert view.handle["name"] in client("ps", "--no-trunc", "--filter", f"label=CONDUIT_NODE={node.node_id}")
    assert "stand-in starts" in client("logs", view.handle["name"])
    client("stop", "--time", "1", view.handle["name"])
    ended = await docker.get(node.node_id)
    assert ended is not None
    assert not ended.alive
    client("rm", view.handle["name"])
    assert await docker.get(node.node_id) is None
