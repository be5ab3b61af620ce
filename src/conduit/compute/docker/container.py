"""A node as a container: what the engine is asked to make, and how its words about it are read. No I/O."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from conduit.compute import environment, processes
from conduit.compute.base import ComputeProvider, NodeStatus, NodeView

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from conduit.compute.base import NodeSpec

PORT = 8000
GPUS_LABEL = "CONDUIT_NODE_GPUS"
"""Label with the uuids of the GPUs that a container holds."""

WEIGHTS_VOLUME = "conduit-models"
_WEIGHTS_FOLDER = "/models"  # of the image; its cache of the hub lies there
_LOCAL_MODELS = "/srv/models"
_GIB = 1024**3
_FRAME_HEAD_BYTES = 8
_ALIVE = ("created", "running", "paused", "restarting")


@dataclass(frozen=True)
class Container:
    """A container as the engine lists it.

    Attributes:
        id: The engine's.
        name: Its first name.
        state: The engine's word.
        labels: All of them.
        created_at: Unix seconds.
        host_port: Where its server's port is published on this machine; None until it runs.
    """

    id: str
    name: str
    state: str
    labels: Mapping[str, str]
    created_at: float
    host_port: int | None

    @property
    def alive(self) -> bool:
        """Whether it runs or may yet be started."""
        return self.state in _ALIVE

    def view(self, exit_code: int | None = None) -> NodeView:
        """The node that it is."""
        status = NodeStatus.STARTING if self.alive else NodeStatus.EXITED
        return NodeView(
            node_id=self.labels.get(processes.NODE_TAG, ""),
            owner=self.labels.get(processes.OWNER_TAG, ""),
            provider=ComputeProvider.DOCKER,
            status=NodeStatus.RUNNING if self.alive and self.host_port else status,
            deployment_key=self.labels.get(processes.DEPLOYMENT_TAG),
            project=self.labels.get(processes.PROJECT_TAG),
            created_at=self.created_at,
            handle={"id": self.id, "name": self.name},
            log=f"docker logs {self.name}",
            exit_code=None if self.alive else exit_code,
            usd_per_hour=0.0,
            said=self.state,
        )


def listed(item: Mapping[str, Any]) -> Container:
    """Reads one entry of the engine's list of containers.

    Raises:
        KeyError, TypeError, ValueError: It is none.
    """
    ports = [
        int(port["PublicPort"])
        for port in item.get("Ports") or ()
        if port.get("PrivatePort") == PORT and port.get("PublicPort")
    ]
    return Container(
        id=str(item["Id"]),
        name=str((item.get("Names") or [""])[0]).lstrip("/"),
        state=str(item["State"]),
        labels={str(k): str(v) for k, v in (item.get("Labels") or {}).items()},
        created_at=float(item["Created"]),
        host_port=ports[0] if ports else None,
    )


def wanted(
    spec: NodeSpec, *, image: str, gpus: Sequence[str], secrets: Mapping[str, str], address: str = "127.0.0.1"
) -> dict[str, Any]:
    """The body of the request that makes a node's container.

    Args:
        spec: The node.
        image: The server's image.
        gpus: The uuids of the GPUs that it gets.
        secrets: More environment.
        address: Where its port is published.
    """
    config, mounts = _config(spec.config)
    labels = {**environment.tags(spec), GPUS_LABEL: ",".join(gpus)}
    variables = {**labels, environment.CONFIG_VARIABLE: json.dumps(config), **secrets}
    host: dict[str, Any] = {
        "PortBindings": {f"{PORT}/tcp": [{"HostIp": address, "HostPort": ""}]},
        # A server that ends has a reason, and who watches it decides what follows.
        "RestartPolicy": {"Name": "no"},
        # The ranks of one model exchange tensors there; it is a limit, nothing is set aside.
        "ShmSize": (16 if gpus else 1) * _GIB,
        "Mounts": [
            {"Type": "volume", "Source": WEIGHTS_VOLUME, "Target": _WEIGHTS_FOLDER},
            *mounts,
        ],
        "SecurityOpt": ["no-new-privileges"],
        "Init": True,
    }
    if gpus:
        host["DeviceRequests"] = [{"Driver": "nvidia", "DeviceIDs": list(gpus), "Capabilities": [["gpu"]]}]
    body: dict[str, Any] = {
        "Image": image,
        "Env": [f"{name}={value}" for name, value in variables.items()],
        "Labels": labels,
        "ExposedPorts": {f"{PORT}/tcp": {}},
        "HostConfig": host,
    }
    if mounts:
        # Folders of this user may be closed to others; what the image writes belongs to group 0.
        body["User"] = f"{os.getuid()}:0"
    return body


def _config(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The configuration as it holds inside, and the folders of models that it takes along."""
    # Its port is published on the loopback only; certificates are files of this machine.
    left_out = ("announce", "tls_certificate", "tls_key", "log_dir")
    config = {name: value for name, value in given.items() if name not in left_out}
    models, mounts = [], []
    for number, model in enumerate(config.get("models", ())):
        inside = dict(model)
        if inside.get("path") is not None:
            target = f"{_LOCAL_MODELS}/{number}"
            mounts.append({"Type": "bind", "Source": str(inside["path"]), "Target": target, "ReadOnly": True})
            inside["path"] = target
        models.append(inside)
    return {**config, "models": models, "host": "0.0.0.0", "port": PORT}, mounts  # noqa: S104 - inside


def log_text(content: bytes) -> str:
    """Both output streams of a container, from the frames in which the engine sends them.

    Source: Docker Engine API, "Attach to a container", stream format.
    """
    parts, at = [], 0
    while at + _FRAME_HEAD_BYTES <= len(content):
        size = int.from_bytes(content[at + 4 : at + _FRAME_HEAD_BYTES], "big")
        parts.append(content[at + _FRAME_HEAD_BYTES : at + _FRAME_HEAD_BYTES + size])
        at += _FRAME_HEAD_BYTES + size
    return b"".join(parts).decode(errors="replace")
