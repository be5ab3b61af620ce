"""What can be asked for, and what is refused before anything starts."""

from __future__ import annotations

from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING

import anyio
import pytest

from conduit.compute import (
    GPUS,
    ComputeProvider,
    Constraint,
    NodeSpec,
    Provider,
    load_owner,
    provider,
)
from conduit.compute.local import LocalProvider
from conduit.errors import ComputeError, MissingDependency, NodeFailed
from conduit.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


def spec(**changes: object) -> NodeSpec:
    values = {
        "node_id": "n1",
        "owner": "o",
        "deployment_key": "k",
        "project": "p",
        "config": {"models": [{}]},
    }
    return NodeSpec(**values | changes)


def test_local_is_a_provider_on_this_machine(tmp_path: Path):
    local: Provider = provider(ComputeProvider.LOCAL, Settings(data_dir=tmp_path))
    assert isinstance(local, LocalProvider)
    assert local.kind is ComputeProvider.LOCAL
    assert local.caps.this_machine
    assert not local.caps.gpus


def test_the_documented_names_are_there():
    names = {"NVIDIA_L4", "NVIDIA_RTX_4090", "NVIDIA_A100_80GB", "NVIDIA_H100_80GB"}
    assert names <= set(GPUS.__members__)
    assert {"SECURE", "SINGLE_DEVICE"} <= set(Constraint.__members__)
    assert all(member.name == member.value.replace(" ", "_").upper() for member in GPUS)


@pytest.mark.parametrize("node_id", ["../up", "", "A"])
def test_a_spec_with_an_unsafe_id_cannot_be_made(node_id: str):
    with pytest.raises(ComputeError, match="no node id"):
        spec(node_id=node_id)


@pytest.mark.parametrize("method", ["get", "destroy", "forget", "logs"])
def test_an_unsafe_id_reaches_no_folder(tmp_path: Path, method: str):
    local = provider(ComputeProvider.LOCAL, Settings(data_dir=tmp_path))
    with pytest.raises(ComputeError, match="no node id"):
        anyio.run(getattr(local, method), "../..")


def test_a_node_that_cannot_be_ended_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("conduit.compute.processes.end", lambda look, **waits: False)
    local = provider(ComputeProvider.LOCAL, Settings(data_dir=tmp_path))
    with pytest.raises(NodeFailed, match="still lives 15 s after") as caught:
        anyio.run(local.destroy, "n1")
    assert caught.value.node_id == "n1"


@pytest.mark.parametrize("missing", ["gpu_server", "mistralrs"])
def test_a_missing_server_is_named_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
):
    def find_spec(name: str) -> ModuleSpec | None:
        return None if name == missing else ModuleSpec(name, None)

    monkeypatch.setattr("conduit.compute.local.find_spec", find_spec)
    local = LocalProvider(tmp_path, load_owner(Settings(data_dir=tmp_path)))
    with pytest.raises(MissingDependency, match=missing) as caught:
        anyio.run(local.create, spec())
    assert caught.value.hint == "pip install 'conduit-dataflow[local]'"
    assert not (tmp_path / "nodes").exists()
