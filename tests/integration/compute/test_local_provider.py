"""The local provider starts, finds and ends real processes, and leaves none behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import httpx
import psutil
import pytest

from conduit.compute import (
    SERVER_PORT,
    NodeSpec,
    NodeStatus,
    NodeView,
    load_owner,
    new_node_id,
)
from conduit.compute.local import LocalProvider
from conduit.errors import NodeFailed, StoreUnavailable
from conduit.settings import Settings
from support import stand_in_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

pytestmark = pytest.mark.anyio
T = TypeVar("T")
SERVER = (sys.executable, str(Path(stand_in_server.__file__).absolute()))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class World:
    """Providers on data folders of this test, and all nodes that were started through them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.homes: set[Path] = set()

    def provider(self, name: str = "data", **options: Any) -> LocalProvider:
        home = self.folder / name
        self.homes.add(home)
        options = {"server": SERVER, "term_wait_s": 5.0} | options
        return LocalProvider(home, load_owner(Settings(data_dir=home)), **options)

    def spec(self, name: str = "data", **config: Any) -> NodeSpec:
        owner = load_owner(Settings(data_dir=self.folder / name)).id
        return NodeSpec(new_node_id(), owner, "key", "project", {"models": [], **config})


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    yield world
    for home in world.homes:
        for process in tagged(home):
            process.kill()
    await until(lambda: none_left(world.homes))


async def none_left(homes: set[Path]) -> bool:
    return not any(tagged(home) for home in homes)


def tagged(home: Path) -> list[psutil.Process]:
    """Living processes that carry the home's tag, found without the provider's own code."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("CONDUIT_NODE_HOME") == str(home) and process.status() != "zombie":
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def status(url: str, path: str, token: str = "wrong") -> int:
    return httpx.get(f"{url}{path}", headers={"authorization": f"Bearer {token}"}).status_code


def start_bystander() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])


async def until(ask: Callable[[], Awaitable[T | None]], seconds: float = 20.0) -> T:
    deadline = time.monotonic() + seconds
    while not (answer := await ask()):
        assert time.monotonic() < deadline, "it did not happen in time"
        await anyio.sleep(0.02)
    return answer


async def running(provider: LocalProvider, spec: NodeSpec) -> tuple[NodeView, str]:
    view = await provider.create(spec)
    url = await until(lambda: provider.endpoint(view, SERVER_PORT))
    seen = await provider.get(spec.node_id)
    assert seen is not None
    return seen, url


async def exited(provider: LocalProvider, node_id: str) -> NodeView:
    async def ask() -> NodeView | None:
        view = await provider.get(node_id)
        return view if view is not None and not view.alive else None

    return await until(ask)


async def test_a_node_lives_from_create_to_destroy(world: World):
    local, spec = world.provider(), world.spec()
    created = await local.create(spec)
    assert created.status in (NodeStatus.STARTING, NodeStatus.RUNNING)
    view, url = created, await until(lambda: local.endpoint(created, SERVER_PORT))
    assert status(url, "/live") == 200
    view = await local.get(spec.node_id)
    assert view is not None
    assert (view.status, view.deployment_key, view.project) == (NodeStatus.RUNNING, "key", "project")
    assert view.handle["pid"] == created.handle["pid"]
    assert [v.node_id for v in await local.list_owned(spec.owner)] == [spec.node_id]

    await local.destroy(spec.node_id)
    assert not tagged(world.folder / "data")
    assert await local.list_owned(spec.owner) == []
    ended = await exited(local, spec.node_id)
    assert await local.endpoint(ended, SERVER_PORT) is None
    assert "stand-in starts" in await local.logs(spec.node_id)
    await local.forget(spec.node_id)
    assert await local.get(spec.node_id) is None
    assert await local.logs(spec.node_id) == ""


async def test_create_does_not_wait_for_the_server(world: World):
    local = world.provider()
    view = await local.create(world.spec(announce_after_s=600))
    assert view.status is NodeStatus.STARTING
    assert await local.endpoint(view, SERVER_PORT) is None


async def test_destroy_and_forget_may_be_repeated_and_know_no_ghosts(world: World):
    local, spec = world.provider(), world.spec()
    await local.create(spec)
    for _ in range(2):
        await local.destroy(spec.node_id)
    for _ in range(2):
        await local.forget(spec.node_id)
    await local.destroy(new_node_id())
    await local.forget(new_node_id())
    assert await local.get(new_node_id()) is None


async def test_a_living_node_is_not_forgotten(world: World):
    local, spec = world.provider(), world.spec()
    await local.create(spec)
    with pytest.raises(NodeFailed, match="still lives"):
        await local.forget(spec.node_id)
    assert (world.folder / "data" / "nodes" / spec.node_id).is_dir()


async def test_an_id_is_used_once_and_the_first_node_lives_on(world: World):
    local, spec = world.provider(), world.spec()
    _, url = await running(local, spec)
    with pytest.raises(NodeFailed, match="created before"):
        await local.create(spec)
    assert status(url, "/live") == 200
    assert await local.logs(spec.node_id)


async def test_the_token_opens_the_server_and_is_nowhere_to_be_read(world: World):
    local, spec = world.provider(), world.spec()
    view, url = await running(local, spec)
    token = load_owner(Settings(data_dir=world.folder / "data")).token(spec.node_id).get_secret_value()
    assert status(url, "/v1/models") == 401
    assert status(url, "/v1/models", token) == 200
    assert token not in " ".join(psutil.Process(view.handle["pid"]).cmdline())
    assert token not in repr(view)
    for file in (world.folder / "data").rglob("*"):
        if file.is_file():
            assert token not in file.read_text(), file


async def test_node_folders_are_the_users_alone(world: World):
    local, spec = world.provider(), world.spec()
    await running(local, spec)
    folder = world.folder / "data" / "nodes" / spec.node_id
    assert folder.stat().st_mode & 0o777 == folder.parent.stat().st_mode & 0o777 == 0o700
    assert all((folder / n).stat().st_mode & 0o077 == 0 for n in ("config.json", "node.json", "log"))


async def test_a_server_gets_neither_conduits_nor_other_services_secrets(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    for name in ("CONDUIT_DB_URL", "PREFECT_API_KEY", "RUNPOD_API_KEY"):
        monkeypatch.setenv(name, "hunter2")
    monkeypatch.setenv("HF_TOKEN", "wanted")
    monkeypatch.setenv("PYTHONPATH", f"relative{os.pathsep}/absolute")
    view = await world.provider().create(world.spec())
    environment = psutil.Process(view.handle["pid"]).environ()
    assert "hunter2" not in environment.values()
    assert environment["HF_TOKEN"] == "wanted"
    assert environment["PYTHONPATH"] == f"{Path.cwd() / 'relative'}{os.pathsep}/absolute"


async def test_a_node_is_detached_from_the_terminal(world: World):
    view = await world.provider().create(world.spec())
    pid = view.handle["pid"]
    assert os.getsid(pid) == pid != os.getsid(0)


async def test_a_node_that_ends_by_itself_shows_its_exit_code_and_log(world: World):
    local, spec = world.provider(), world.spec(exit_code=4)
    view = await local.create(spec)
    ended = await exited(local, spec.node_id)
    assert ended.log == view.log
    assert "cannot load the model" in await local.logs(spec.node_id)

    async def code() -> int | None:
        seen = await local.get(spec.node_id)
        return seen.exit_code if seen else None

    assert await until(code) == 4


async def test_a_node_that_ignores_the_request_to_end_is_killed(world: World):
    local, spec = world.provider(term_wait_s=0.2), world.spec(ignore_term=True)
    await running(local, spec)
    await local.destroy(spec.node_id)
    assert not tagged(world.folder / "data")


async def test_a_frozen_node_is_killed(world: World):
    local, spec = world.provider(term_wait_s=0.2), world.spec()
    view, _ = await running(local, spec)
    os.kill(view.handle["pid"], signal.SIGSTOP)
    await local.destroy(spec.node_id)
    assert not tagged(world.folder / "data")


async def test_a_cancelled_destroy_still_ends_the_node(world: World):
    local, spec = world.provider(term_wait_s=0.5), world.spec(ignore_term=True)
    await running(local, spec)
    with anyio.move_on_after(0.1):
        await local.destroy(spec.node_id)
    assert not tagged(world.folder / "data")


async def test_what_a_node_started_ends_with_it(world: World):
    local, spec = world.provider(term_wait_s=0.5), world.spec(child=True)
    await running(local, spec)
    assert len(tagged(world.folder / "data")) == 2
    await local.destroy(spec.node_id)
    assert not tagged(world.folder / "data")


async def test_what_outlives_its_root_is_still_a_living_node(world: World):
    local, spec = world.provider(term_wait_s=0.2), world.spec(child=True)
    view, _ = await running(local, spec)
    os.kill(view.handle["pid"], signal.SIGKILL)
    await until(lambda: only_the_child(world))
    seen = await local.get(spec.node_id)
    assert seen is not None
    assert seen.alive
    await local.destroy(spec.node_id)
    assert not tagged(world.folder / "data")


async def only_the_child(world: World) -> bool:
    return len(tagged(world.folder / "data")) == 1


async def test_an_orphan_is_found_and_ended_when_folder_and_key_are_lost(world: World):
    spec = world.spec()
    await running(world.provider(), spec)
    shutil.rmtree(world.folder / "data")
    local = world.provider()
    owner = load_owner(Settings(data_dir=world.folder / "data")).id
    assert owner != spec.owner
    (orphan,) = await local.list_owned(owner)
    assert (orphan.node_id, orphan.owner, orphan.alive) == (spec.node_id, spec.owner, True)
    await local.destroy(orphan.node_id)
    assert await local.list_owned(owner) == []
    assert await local.get(spec.node_id) is None


async def test_other_owners_nodes_are_neither_seen_nor_touched(world: World):
    theirs, ours, spec = world.provider("theirs"), world.provider("ours"), world.spec("theirs")
    _, url = await running(theirs, spec)
    assert await ours.list_owned(load_owner(Settings(data_dir=world.folder / "ours")).id) == []
    assert await ours.get(spec.node_id) is None
    await ours.destroy(spec.node_id)
    await ours.forget(spec.node_id)
    assert status(url, "/live") == 200
    assert [v.node_id for v in await theirs.list_owned(spec.owner)] == [spec.node_id]


async def test_a_pid_on_record_is_never_trusted(world: World):
    local, spec = world.provider(), world.spec()
    bystander = start_bystander()
    try:
        await running(local, spec)
        await local.destroy(spec.node_id)
        announce = world.folder / "data" / "nodes" / spec.node_id / "announce.json"
        announce.write_text(json.dumps({"pid": bystander.pid, "host": "127.0.0.1", "port": 9}))
        view = await exited(local, spec.node_id)
        assert await local.endpoint(view, SERVER_PORT) is None
        await local.destroy(spec.node_id)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


async def test_a_node_outlives_its_creator_and_the_next_process_ends_it(world: World):
    local, spec = world.provider(), world.spec()
    creator = """
import anyio, os, sys
from pathlib import Path
from conduit.compute import NodeSpec, load_owner
from conduit.compute.local import LocalProvider
from conduit.settings import Settings
home, node_id, *server = sys.argv[1:]
owner = load_owner(Settings(data_dir=home))
provider = LocalProvider(Path(home), owner, server=server)
anyio.run(provider.create, NodeSpec(node_id, owner.id, "key", "project", {"models": []}))
os._exit(1)
"""
    command = [sys.executable, "-c", creator, str(world.folder / "data"), spec.node_id, *SERVER]
    assert (await anyio.run_process(command, check=False)).returncode == 1
    view = await local.get(spec.node_id)
    assert view is not None
    url = await until(lambda: local.endpoint(view, SERVER_PORT))
    assert status(url, "/live") == 200
    await local.destroy(spec.node_id)
    assert not tagged(world.folder / "data")


async def test_a_command_that_is_not_there_leaves_nothing(world: World):
    local = world.provider(server=("/nowhere/server",))
    with pytest.raises(NodeFailed, match="/nowhere/server") as caught:
        await local.create(world.spec())
    assert caught.value.hint
    assert list((world.folder / "data" / "nodes").iterdir()) == []


async def test_a_node_folder_that_cannot_be_written_is_named(world: World):
    local = world.provider()
    (world.folder / "data" / "nodes").write_text("a file where the folder should be")
    with pytest.raises(StoreUnavailable, match="nodes") as caught:
        await local.create(world.spec())
    assert "CONDUIT_DATA_DIR" in str(caught.value.hint)


async def test_a_long_log_is_cut_at_its_beginning(world: World):
    local, spec = world.provider(), world.spec(exit_code=1)
    view = await local.create(spec)
    await exited(local, spec.node_id)
    assert view.log is not None
    await anyio.Path(view.log).write_bytes(b"x" * 200_000 + b"\xff the end")
    tail = await local.logs(spec.node_id)
    assert len(tail) <= 65_536
    assert tail.endswith("the end")
