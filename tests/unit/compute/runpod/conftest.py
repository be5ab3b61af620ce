"""One account, one owner, and a provider over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from conduit.compute import NodeSpec, Owner, load_owner
from conduit.compute.runpod import RunPodProvider
from conduit.settings import Settings
from support.runpod_account import KEY, L4, Account

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def account() -> Account:
    return Account()


@pytest.fixture
def owner(tmp_path: Path) -> Owner:
    return load_owner(Settings(data_dir=tmp_path))


@pytest.fixture
def open_provider(account: Account, owner: Owner, tmp_path: Path) -> Callable[..., RunPodProvider]:
    def opened(**changes: Any) -> RunPodProvider:
        images = {"runpod_image": "example/server:1", "runpod_serverless_image": "example/worker:1"}
        values = {"data_dir": tmp_path, "runpod_api_key": SecretStr(KEY), **images, **changes}
        return RunPodProvider.from_settings(Settings(**values), owner, transport=account.transport)

    return opened


@pytest.fixture
def provider(open_provider: Callable[..., RunPodProvider]) -> RunPodProvider:
    return open_provider()


@pytest.fixture
def make_spec(owner: Owner) -> Callable[..., NodeSpec]:
    def spec(**changes: Any) -> NodeSpec:
        values = {
            "node_id": "n0123456789ab",
            "owner": owner.id,
            "deployment_key": "d1",
            "project": "/home/me/project",
            "config": {"models": [{"model_id": "m", "engine": "sglang"}], "idle_timeout_s": 900.0},
            "offering": L4,
        }
        return NodeSpec(**values | changes)

    return spec
