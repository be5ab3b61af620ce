"""A node of the local provider is a real gpu_server, and answers with the token that its owner derives."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import anyio
import httpx
import pytest

import random_weights
from conduit.compute import (
    SERVER_PORT,
    ComputeProvider,
    NodeSpec,
    NodeStatus,
    NodeView,
    Provider,
    load_owner,
    new_node_id,
    provider,
)
from conduit.settings import Settings

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def model(folder: Path) -> dict[str, object]:
    return {
        "model_id": "random",
        "path": str(folder),
        "engine": "mistralrs",
        "max_model_len": 256,
        "max_model_concurrency": 4,
    }


async def look_until(local: Provider, node_id: str, wanted: Callable[[NodeView], bool]) -> NodeView:
    deadline = time.monotonic() + 50
    while True:
        view = await local.get(node_id)
        assert view is not None
        if wanted(view):
            return view
        assert view.alive or view.exit_code is None, await local.logs(node_id)
        assert time.monotonic() < deadline, await local.logs(node_id)
        await anyio.sleep(0.05)


async def test_a_real_server_becomes_ready_answers_and_ends(tmp_path: Path):
    settings = Settings(data_dir=tmp_path / "data")
    owner = load_owner(settings)
    local = provider(ComputeProvider.LOCAL, settings)
    config = {"idle_timeout_s": 120, "models": [model(random_weights.make(tmp_path / "model"))]}
    spec = NodeSpec(new_node_id(), owner.id, "key", "project", config)
    await local.create(spec)
    try:
        view = await look_until(local, spec.node_id, lambda v: v.status is NodeStatus.RUNNING)
        url = await local.endpoint(view, SERVER_PORT)
        assert url is not None
        token = owner.token(spec.node_id).get_secret_value()
        async with httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {token}"}) as client:
            deadline = time.monotonic() + 50
            while (await client.get("/ready")).status_code != 200:
                assert time.monotonic() < deadline, await local.logs(spec.node_id)
                await anyio.sleep(0.05)
            message = {"role": "user", "content": "hello"}
            body = {"model": "random", "messages": [message], "max_tokens": 4, "temperature": 0}
            answer = await client.post("/v1/chat/completions", json=body, timeout=30)
            assert answer.status_code == 200, answer.text
            assert answer.json()["usage"]["completion_tokens"] > 0
            wrong = {"authorization": "Bearer wrong"}
            assert (await client.get("/v1/models", headers=wrong)).status_code == 401
    finally:
        await local.destroy(spec.node_id)
    assert await local.list_owned(owner.id) == []
    assert token not in await local.logs(spec.node_id)


async def test_a_server_whose_model_cannot_load_ends_with_its_reason_in_the_log(tmp_path: Path):
    settings = Settings(data_dir=tmp_path / "data")
    local = provider(ComputeProvider.LOCAL, settings)
    (tmp_path / "empty").mkdir()
    config = {"models": [model(tmp_path / "empty")]}
    spec = NodeSpec(new_node_id(), load_owner(settings).id, "key", "project", config)
    await local.create(spec)
    try:
        ended = await look_until(local, spec.node_id, lambda v: v.exit_code is not None)
        assert ended.exit_code == 4
        assert "config.json" in await local.logs(spec.node_id)
    finally:
        await local.destroy(spec.node_id)
