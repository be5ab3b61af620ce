"""Every provider keeps every promise of ``conduit.compute.contract``."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conduit.compute import Provider, contract
from conduit.compute.contract import CHECKS, NotApplicable, Subject
from support import provider_subjects as subjects
from support.ssh_host import KINDS, SSHD, SshHost, ssh_host

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subjects.DockerEngine]:
    with subjects.docker_engine_at(tmp_path_factory.mktemp("engine")) as engine:
        yield engine


@pytest.fixture(scope="module", params=KINDS)
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshHost]:
    if request.param == "sshd" and SSHD is None:
        pytest.skip("there is no sshd on this machine")
    with ssh_host(tmp_path_factory.mktemp("host"), request.param) as host:
        yield host


Check = Callable[[Subject], Awaitable[None]]
each_check = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)


async def kept(check: Check, subject: Subject) -> None:
    try:
        await check(subject)
    except NotApplicable as reason:
        pytest.skip(str(reason))


@pytest.fixture
async def on_docker(tmp_path: Path, engine: subjects.DockerEngine) -> AsyncIterator[Subject]:
    make = subjects.docker(tmp_path, engine)
    async with subjects.subject_of(tmp_path, make, hang=engine.hanging) as subject:
        yield subject


@pytest.fixture
async def on_a_host(tmp_path: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Subject]:
    monkeypatch.setenv("HOME", str(host.client_home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    make = subjects.ssh(tmp_path, host)
    async with subjects.subject_of(tmp_path, make) as subject:
        yield subject


@each_check
async def test_local_keeps_it(check: Check, tmp_path: Path):
    async with subjects.subject_of(tmp_path, subjects.local(tmp_path)) as subject:
        await kept(check, subject)


@each_check
async def test_docker_keeps_it(check: Check, on_docker: Subject):
    await kept(check, on_docker)


@each_check
async def test_ssh_keeps_it(check: Check, on_a_host: Subject):
    await kept(check, on_a_host)


async def test_ssh_never_waits_for_ever(tmp_path: Path, host: SshHost, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(host.client_home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    make = subjects.ssh(tmp_path, host, connect_s=3.0, answer_s=3.0, kill_wait_s=1.0)
    async with subjects.subject_of(tmp_path, make, hang=host.hanging, bound_s=20.0) as subject:
        await contract.never_waits_for_ever(subject)


@each_check
async def test_the_documented_example_keeps_it(check: Check, tmp_path: Path):
    page = (Path(__file__).parents[3] / "docs" / "providers.md").read_text()
    (source,) = (block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "class " in block)
    example: dict[str, Any] = {}
    exec(source, example)

    def make(name: str) -> Provider:
        made = example["provider"](None, subjects.owner(tmp_path, name))
        made.server = subjects.SERVER
        return made

    async with subjects.subject_of(tmp_path, make) as subject:
        await kept(check, subject)


@each_check
async def test_the_fake_keeps_it(check: Check, tmp_path: Path):
    async with subjects.fake(tmp_path) as subject:
        await kept(check, subject)
