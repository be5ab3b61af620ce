"""The ssh provider beyond the contract: connections to a host on the loopback, lost, refused and made again."""

from __future__ import annotations

import os
import shutil
import sys
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import asyncssh
import httpx
import psutil
import pytest
from pydantic import SecretStr

from conduit.compute import NodeSpec, NodeView, Offering, OfferingQuery
from conduit.compute.ssh import SshProvider, lines
from conduit.errors import (
    AmbiguousAnswer,
    MissingDependency,
    NoCapacity,
    ProviderRejected,
    ProviderUnauthorized,
    ProviderUnavailable,
)
from conduit.lmlite.config import ModelConfig
from conduit.lmlite.nodes.model_files import TINY, locate
from conduit.settings import SshHost
from support import provider_subjects as subjects
from support.ssh_host import SSHD, ssh_host
from support.ssh_host import SshHost as Host

pytestmark = pytest.mark.anyio

Make = Callable[..., SshProvider]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    programs = tmp_path / "programs"
    programs.mkdir()
    path = f"{programs}:{Path(sys.executable).parent}:/usr/bin:/bin"
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with ssh_host(tmp_path / "host", "sshd" if SSHD else "stand-in", PATH=path) as host:
        monkeypatch.setenv("HOME", str(host.client_home))
        yield host


@pytest.fixture
async def make(tmp_path: Path, host: Host) -> AsyncIterator[Make]:
    made: list[SshProvider] = []

    def one(*hosts: SshHost, known_hosts: Path | None = host.known_hosts, **options: Any) -> SshProvider:
        places = hosts or (SshHost(host=host.address, server=subjects.SERVER),)
        options = {"connect_s": 20.0, "answer_s": 30.0, "term_wait_s": 1.0, "kill_wait_s": 5.0} | options
        made.append(SshProvider(places, subjects.owner(tmp_path), known_hosts=known_hosts, **options))
        return made[-1]

    yield one
    for provider in made:
        try:
            for view in await provider.list_owned(subjects.owner(tmp_path).id):
                await provider.destroy(view.node_id, at_once=True)
        except (ProviderUnavailable, ProviderUnauthorized, AmbiguousAnswer):
            continue
        finally:
            await provider.aclose()


def spec(tmp_path: Path, **config: object) -> NodeSpec:
    return subjects.spec(subjects.owner(tmp_path), **config)


def closed_host() -> SshHost:
    return SshHost(host="127.0.0.1:9")


async def until(ask: Callable[[], Awaitable[Any]]) -> Any:
    deadline = time.monotonic() + 20
    while not (answer := await ask()):
        assert time.monotonic() < deadline, "it did not happen in time"
        await anyio.sleep(0.02)
    return answer


async def served(provider: SshProvider, view: NodeView) -> str:
    return await until(lambda: provider.endpoint(view, 8000))


async def status(url: str, path: str = "/live") -> int | None:
    try:
        async with httpx.AsyncClient(timeout=5) as client:
            return (await client.get(f"{url}{path}")).status_code
    except httpx.HTTPError:
        return None


async def found_by_many(provider: SshProvider, view: NodeView) -> list[str]:
    seen = []

    async def ask() -> None:
        seen.append(await provider.get(view.node_id, view.handle))

    async with anyio.create_task_group() as group:
        for _ in range(25):
            group.start_soon(ask)
    return [one.node_id for one in seen if one]


async def test_an_address_outlives_the_connection(tmp_path: Path, host: Host, make: Make):
    provider = make()
    url = await served(provider, await provider.create(spec(tmp_path)))
    assert await status(url) == 200
    host.stop()
    assert await status(url) is None
    host.start()

    async def back() -> bool:
        return await status(url) == 200

    await until(back)


async def test_an_address_belongs_to_the_process_and_not_to_an_event_loop(tmp_path: Path, make: Make):
    provider = make()
    view = await provider.create(spec(tmp_path))
    await served(provider, view)

    async def elsewhere() -> str | None:
        return await provider.endpoint(view, 8000)

    url = await anyio.to_thread.run_sync(anyio.run, elsewhere)
    assert url == await provider.endpoint(view, 8000)
    assert await status(str(url)) == 200


async def test_a_closed_provider_leaves_the_address_of_others_open(tmp_path: Path, make: Make):
    first, second = make(), make()
    view = await first.create(spec(tmp_path))
    url = await served(first, view)
    assert await served(second, view) == url
    await first.aclose()
    assert await status(url) == 200
    await second.aclose()
    assert await status(url) is None
    assert not lines.home().lines


async def test_a_node_outlives_its_connection_and_is_detached(tmp_path: Path, host: Host, make: Make):
    provider = make()
    view = await provider.create(spec(tmp_path))
    pid = view.handle["pid"]
    assert os.getsid(pid) == pid
    host.stop()
    assert psutil.pid_exists(pid)
    host.start()
    seen = await provider.get(view.node_id)
    assert seen is not None
    assert seen.alive


async def test_many_may_ask_at_once(tmp_path: Path, make: Make):
    provider = make()
    view = await provider.create(spec(tmp_path))
    assert await found_by_many(provider, view) == [view.node_id] * 25


@pytest.mark.skipif(SSHD is None, reason="asyncssh's server refuses no session")
async def test_many_may_ask_a_host_of_one_session(tmp_path: Path, host: Host, make: Make):
    host.stop()
    host.sessions = 1
    host.start()
    provider = make()
    view = await provider.create(spec(tmp_path))
    assert await found_by_many(provider, view) == [view.node_id] * 25


async def test_no_secret_lies_on_the_host(tmp_path: Path, host: Host, make: Make):
    provider = make(hf_token=SecretStr("hf_secret"))
    view = await provider.create(spec(tmp_path))
    await served(provider, view)
    token = subjects.owner(tmp_path).token(view.node_id).get_secret_value()
    environment = psutil.Process(view.handle["pid"]).environ()
    assert (environment["GPU_SERVER_TOKEN"], environment["HF_TOKEN"]) == (token, "hf_secret")
    kept = [path for path in host.home.rglob("*") if path.is_file()]
    assert {path.name for path in kept} >= {"config.json", "node.json", "announce.json", "log"}
    for path in kept:
        assert token not in path.read_text()
        assert "hf_secret" not in path.read_text()
    folder = host.home / ".conduit" / "nodes" / view.node_id
    assert folder.stat().st_mode & 0o077 == 0
    assert all((folder / name).stat().st_mode & 0o077 == 0 for name in ("config.json", "node.json", "log"))


async def test_a_node_is_found_and_ended_when_its_folder_is_lost(tmp_path: Path, host: Host, make: Make):
    provider = make()
    view = await provider.create(spec(tmp_path))
    await served(provider, view)
    shutil.rmtree(host.home / ".conduit")
    assert [one.node_id for one in await provider.list_owned(view.owner)] == [view.node_id]
    await provider.destroy(view.node_id)
    assert subjects.processes_of(view.node_id) == []
    assert await provider.get(view.node_id) is None


async def test_what_a_node_started_ends_with_it_also_when_it_will_not(tmp_path: Path, make: Make):
    provider = make(term_wait_s=0.3)
    view = await provider.create(spec(tmp_path, ignore_term=True, child=True))
    await served(provider, view)
    assert len(subjects.processes_of(view.node_id)) == 2
    await provider.destroy(view.node_id)
    assert subjects.processes_of(view.node_id) == []


async def test_a_cancelled_destroy_still_ends_the_node(tmp_path: Path, make: Make):
    provider = make(term_wait_s=1.0)
    view = await provider.create(spec(tmp_path, ignore_term=True))
    await served(provider, view)
    with anyio.move_on_after(0.5) as scope:
        await provider.destroy(view.node_id)
    assert scope.cancelled_caught

    async def gone() -> bool:
        return not subjects.processes_of(view.node_id)

    await until(gone)


def uuids(tmp_path: Path) -> list[str]:
    """Of this test alone: what another test's nodes hold on this machine is not free here."""
    return [f"GPU-{zlib.crc32(bytes(tmp_path)):x}-{name}" for name in "abc"]


def smi(tmp_path: Path, text: str | None = None) -> None:
    if text is None:
        text = "#!/bin/sh\n" + "".join(f"echo '{u}, NVIDIA L4, 23034, 8.9'\n" for u in uuids(tmp_path))
    program = tmp_path / "programs" / "nvidia-smi"
    program.write_text(text)
    program.chmod(0o755)


async def test_gpus_are_offered_host_by_host_and_held_by_one_node_each(
    tmp_path: Path, host: Host, make: Make
):
    smi(tmp_path)
    provider = make(SshHost(host=host.address, server=subjects.SERVER, gpus=2))
    one, two = await provider.offerings(OfferingQuery(gpu="NVIDIA L4", gpu_counts=(1, 2, 3)))
    assert (one.region, one.availability, two.gpu_count) == (host.address, "high", 2)
    views = [await provider.create(replace(spec(tmp_path), offering=one)) for _ in range(2)]
    held = [psutil.Process(view.handle["pid"]).environ()["CUDA_VISIBLE_DEVICES"] for view in views]
    assert held == uuids(tmp_path)[:2], "the third is not Conduit's"
    assert {o.availability for o in await provider.offerings(OfferingQuery())} == {"none"}
    with pytest.raises(NoCapacity, match="of its 2 GPUs 0 are not held"):
        await provider.create(replace(spec(tmp_path), offering=one))
    await provider.destroy(views[0].node_id)
    again = await provider.create(replace(spec(tmp_path), offering=one))
    assert psutil.Process(again.handle["pid"]).environ()["CUDA_VISIBLE_DEVICES"] == held[0]


async def test_nodes_that_start_at_once_get_a_gpu_each(tmp_path: Path, make: Make):
    smi(tmp_path)
    provider = make()
    (offering,) = await provider.offerings(OfferingQuery())
    refused = []

    async def create() -> None:
        try:
            await provider.create(replace(spec(tmp_path), offering=offering))
        except NoCapacity as error:
            refused.append(error)

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(create)
    views = await provider.list_owned(subjects.owner(tmp_path).id)
    held = [psutil.Process(view.handle["pid"]).environ()["CUDA_VISIBLE_DEVICES"] for view in views]
    assert sorted(held) == uuids(tmp_path)
    assert len(refused) == 2


async def test_an_nvidia_smi_that_fails_is_said(tmp_path: Path, make: Make):
    smi(tmp_path, "#!/bin/sh\necho 'Driver/library version mismatch'; exit 18\n")
    with pytest.raises(ProviderUnavailable, match="Driver/library version mismatch"):
        await make().offerings(OfferingQuery())


async def test_without_an_offering_the_host_that_can_be_reached_is_taken(
    tmp_path: Path, host: Host, make: Make
):
    provider = make(closed_host(), SshHost(host=host.address, server=subjects.SERVER))
    view = await provider.create(spec(tmp_path))
    assert view.handle["host"] == host.address
    seen = await provider.get(view.node_id, view.handle)
    assert seen is not None
    await provider.destroy(view.node_id, view.handle)


async def test_a_host_that_cannot_be_asked_is_never_taken_for_empty(tmp_path: Path, host: Host, make: Make):
    provider = make(closed_host(), SshHost(host=host.address, server=subjects.SERVER))
    node = spec(tmp_path)
    for call in (provider.list_owned(node.owner), provider.get(node.node_id), provider.destroy(node.node_id)):
        with pytest.raises(AmbiguousAnswer, match=r"127\.0\.0\.1:9 cannot be reached"):
            await call


async def test_a_host_that_is_away_is_no_place_for_a_node(tmp_path: Path, make: Make):
    provider = make(closed_host())
    offering = Offering("ssh", "NVIDIA L4", "NVIDIA L4", 1, 22.5, 0.0, region="127.0.0.1:9")
    for asked in (None, offering):
        with pytest.raises(NoCapacity, match="cannot be reached"):
            await provider.create(replace(spec(tmp_path), offering=asked))
    with pytest.raises(ProviderRejected, match="none of the hosts"):
        await provider.create(replace(spec(tmp_path), offering=replace(offering, region="elsewhere")))


@pytest.mark.parametrize("known", ["nothing", "another key"])
async def test_a_host_with_an_unknown_key_is_refused(tmp_path: Path, host: Host, make: Make, known: str):
    file = tmp_path / "known"
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    file.write_text("" if known == "nothing" else f"[127.0.0.1]:{host.port} {other}")
    with pytest.raises(ProviderUnavailable, match="among the known hosts") as caught:
        await make(known_hosts=file).list_owned("o")
    assert "CONDUIT_SSH_KNOWN_HOSTS" in str(caught.value.hint)


async def test_known_hosts_are_the_users_own_by_default(host: Host, make: Make):
    provider = make(known_hosts=None)
    with pytest.raises(ProviderUnavailable, match="among the known hosts"):
        await provider.list_owned("o")
    shutil.copyfile(host.known_hosts, host.client_home / ".ssh" / "known_hosts")
    assert await provider.list_owned("o") == []


async def test_a_host_that_takes_no_key_is_said(host: Host, make: Make):
    host.authorized.write_text("")
    if not SSHD:
        host.stop()
        host.start()
    with pytest.raises(ProviderUnauthorized, match="takes no key of this user"):
        await make().list_owned("o")


async def test_a_missing_server_is_named_with_the_command(tmp_path: Path, host: Host, make: Make):
    provider = make(SshHost(host=host.address, server=("no-such-server",)))
    node = spec(tmp_path)
    with pytest.raises(MissingDependency, match="There is no no-such-server") as caught:
        await provider.create(node)
    assert "pip install conduit-gpu-server" in str(caught.value.hint)
    assert await provider.get(node.node_id) is None


async def test_a_missing_python_is_named(host: Host, make: Make):
    with pytest.raises(ProviderUnavailable, match=r"no-such-python on .* ended with 127"):
        await make(SshHost(host=host.address, python="no-such-python")).list_owned("o")


async def test_without_hosts_it_says_how_to_name_them(tmp_path: Path):
    provider = SshProvider([], subjects.owner(tmp_path))
    for call in (provider.create(spec(tmp_path)), provider.offerings(OfferingQuery())):
        with pytest.raises(ProviderUnavailable, match="has no hosts") as caught:
            await call
        assert "CONDUIT_SSH_HOSTS" in str(caught.value.hint)
    assert await provider.list_owned("o") == []


async def test_a_real_server_on_a_host_answers_with_a_model(tmp_path: Path, host: Host, make: Make):
    path = locate(ModelConfig(TINY)).path
    provider = make(SshHost(host=host.address, server=(sys.executable, "-m", "gpu_server")), term_wait_s=5.0)
    models = [{"model_id": TINY, "path": str(path), "max_model_len": 512}]
    view = await provider.create(spec(tmp_path, models=models))
    url = await served(provider, view)
    token = subjects.owner(tmp_path).token(view.node_id).get_secret_value()
    async with httpx.AsyncClient(
        base_url=url, headers={"authorization": f"Bearer {token}"}, timeout=30
    ) as client:

        async def ready() -> bool:
            return (await client.get("/ready")).status_code == 200

        await until(ready)
        body = {"model": TINY, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 16}
        whole = (await client.post("/v1/chat/completions", json=body)).json()
        async with client.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as stream:
            events = [line async for line in stream.aiter_lines() if line]
    assert whole["usage"]["completion_tokens"] > 0
    assert events[-1] == "data: [DONE]"
    await provider.destroy(view.node_id)
    assert subjects.processes_of(view.node_id) == []
