"""What the engine is asked and what it answers, read without an engine."""

from __future__ import annotations

import json

import anyio
import pytest

from conduit.compute import NodeSpec, NodeStatus
from conduit.compute.docker import images
from conduit.compute.docker.container import listed, log_text, wanted
from conduit.compute.docker.engine import Engine
from conduit.errors import ProviderUnavailable

ITEM = {
    "Id": "abc",
    "Names": ["/cdt-o-n1"],
    "State": "running",
    "Created": 17,
    "Labels": {"CONDUIT_NODE": "n1", "CONDUIT_OWNER": "o"},
    "Ports": [{"IP": "127.0.0.1", "PrivatePort": 8000, "PublicPort": 40000, "Type": "tcp"}],
}


@pytest.mark.parametrize(
    ("state", "ports", "status"),
    [
        ("running", True, NodeStatus.RUNNING),
        ("running", False, NodeStatus.STARTING),
        ("paused", True, NodeStatus.RUNNING),
        ("restarting", False, NodeStatus.STARTING),
        # Somebody may be about to start it.
        ("created", False, NodeStatus.STARTING),
        ("exited", False, NodeStatus.EXITED),
        ("dead", False, NodeStatus.EXITED),
        ("removing", False, NodeStatus.EXITED),
    ],
)
def test_a_state_of_the_engine_is_one_of_ours(state: str, ports: bool, status: NodeStatus):
    view = listed(ITEM | {"State": state} | ({} if ports else {"Ports": []})).view(exit_code=3)
    assert view.status is status
    assert view.said == state
    assert view.exit_code == (None if view.alive else 3)
    assert (view.node_id, view.owner, view.handle) == ("n1", "o", {"id": "abc", "name": "cdt-o-n1"})


def frame(stream: int, text: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(text).to_bytes(4, "big") + text


def test_a_log_is_both_streams_in_order_without_their_frames():
    content = frame(1, b"one\n") + frame(2, b"two\n") + frame(1, b"\xff three")
    assert log_text(content) == "one\ntwo\n\ufffd three"
    assert log_text(content[:-3]) == "one\ntwo\n\ufffd th", "a frame that was cut shows what there is"
    assert log_text(b"") == ""


def test_only_the_loopback_gets_the_port_and_no_file_of_this_machine_is_named_inside():
    config = {
        "announce": "/here/announce",
        "log_dir": "/here/logs",
        "models": [{"model_id": "a", "path": "/here/a"}, {"model_id": "b"}, {"model_id": "c", "path": "/c"}],
    }
    body = wanted(NodeSpec("n1", "o", "k", "p", config), image="i", gpus=["u1", "u2"], secrets={"S": "x"})
    variables = dict(one.split("=", 1) for one in body["Env"])
    inside = json.loads(variables["GPU_SERVER_CONFIG"])
    assert (inside["host"], inside["port"]) == ("0.0.0.0", 8000)
    assert set(inside) == {"host", "port", "models"}
    assert [m.get("path") for m in inside["models"]] == ["/srv/models/0", None, "/srv/models/2"]
    mounts = {m["Target"]: m["Source"] for m in body["HostConfig"]["Mounts"] if m["Type"] == "bind"}
    assert mounts == {"/srv/models/0": "/here/a", "/srv/models/2": "/c"}
    assert body["HostConfig"]["PortBindings"]["8000/tcp"][0]["HostIp"] == "127.0.0.1"
    assert body["HostConfig"]["DeviceRequests"][0]["DeviceIDs"] == ["u1", "u2"]
    assert variables["S"] == "x"
    assert "S" not in body["Labels"]


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("conduit-gpu-server", ("conduit-gpu-server", "latest")),
        ("conduit-gpu-server:cpu", ("conduit-gpu-server", "cpu")),
        ("registry:5000/team/image", ("registry:5000/team/image", "latest")),
        ("registry:5000/team/image:1.2", ("registry:5000/team/image", "1.2")),
        ("team/image@sha256:aa", ("team/image", "sha256:aa")),
    ],
)
def test_an_image_is_pulled_by_name_and_tag_or_digest(image: str, parts: tuple[str, str]):
    assert images._parts(image) == parts


@pytest.mark.parametrize(
    "address",
    ["tcp://10.0.0.7:2375", "tcp://0.0.0.0:2375", "ssh://me@host", "npipe://./pipe/docker", "unix://"],
)
def test_an_engine_of_another_machine_is_refused_with_another_way(address: str):
    with pytest.raises(ProviderUnavailable, match="loopback") as caught:
        Engine(address)
    assert "compute_provider='ssh'" in str(caught.value.hint)


@pytest.mark.parametrize(
    "address", ["unix:///run/user/1000/docker.sock", "tcp://127.0.0.1:2375", "tcp://[::1]:1"]
)
def test_an_engine_of_this_machine_is_taken(address: str):
    assert Engine(address).address == address


def test_a_container_that_cannot_be_read_is_no_container():
    for broken in (
        {},
        ITEM | {"Created": "now"},
        ITEM | {"Ports": [{"PrivatePort": 8000, "PublicPort": "x"}]},
    ):
        with pytest.raises((KeyError, ValueError)):
            listed(broken)


def test_no_engine_at_all_is_said_at_once():
    with pytest.raises(ProviderUnavailable, match="No Docker Engine answers at unix:///nonexistent/sock"):
        anyio.run(Engine("unix:///nonexistent/sock").call, "GET", "/containers/json")
