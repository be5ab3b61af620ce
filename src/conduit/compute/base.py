"""What a provider of machines is: one Protocol and its value types, nothing else.

A provider starts, finds and ends nodes. It keeps no plan, retries nothing and writes no records: who calls it
has committed the intent first, and decides what an ambiguous answer means.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from conduit.errors import ComputeError

if TYPE_CHECKING:
    from collections.abc import Mapping

_NODE_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class ComputeProvider(StrEnum):
    """Where the replicas of an LMLite run."""

    LOCAL = "local"
    RUNPOD = "runpod"


class Constraint(StrEnum):
    """What a placement must satisfy beside its memory."""

    SECURE = "secure"
    SINGLE_DEVICE = "single_device"


class NodeStatus(StrEnum):
    """What the provider itself says of a node; whether its server is ready is asked from the server."""

    STARTING = "starting"  # it lives, but its address is not known yet
    RUNNING = "running"  # it lives and its address is known
    EXITED = "exited"  # it ended; only its log is left


@dataclass(frozen=True)
class NodeSpec:
    """One node to create.

    Attributes:
        node_id: Made by ``new_node_id`` and already committed as an intent.
        owner: Tag by which the node is found again when all records are lost.
        deployment_key: The deployment that the node belongs to.
        project: The project that the deployment belongs to.
        config: The server's configuration (models, limits); ``host``, ``port`` and ``announce`` are the
            provider's to set.
    """

    node_id: str
    owner: str
    deployment_key: str
    project: str
    config: Mapping[str, Any]

    def __post_init__(self) -> None:
        check_node_id(self.node_id)


@dataclass(frozen=True)
class NodeView:
    """A node as its provider sees it now.

    Attributes:
        created_at: Unix seconds; None when unknown.
        handle: What the provider needs to know the node again, as JSON values; goes into the node's row.
        log: Where the log lies, to be named in messages; None when there is none.
        exit_code: Known only to the process that created the node.
        certificate: PEM text of the certificate that its server shows; None when it speaks plain HTTP.
    """

    node_id: str
    owner: str
    provider: ComputeProvider
    status: NodeStatus
    deployment_key: str | None = None
    project: str | None = None
    created_at: float | None = None
    handle: Mapping[str, Any] = field(default_factory=dict)
    log: str | None = None
    exit_code: int | None = None
    certificate: str | None = None

    @property
    def alive(self) -> bool:
        """Whether the node exists and may cost something."""
        return self.status is not NodeStatus.EXITED


@dataclass(frozen=True)
class Caps:
    """What a provider can do.

    Attributes:
        this_machine: Its nodes take the memory of the machine that this process runs on.
        gpus: A GPU can be asked for.
    """

    this_machine: bool
    gpus: bool


class Provider(Protocol):
    """A source of nodes. Every method may raise ``ComputeError`` and has a bounded duration."""

    @property
    def kind(self) -> ComputeProvider:
        """Which provider this is."""
        ...

    @property
    def caps(self) -> Caps:
        """What it can do."""
        ...

    async def create(self, spec: NodeSpec) -> NodeView:
        """Starts one node and returns without waiting for its server.

        Raises:
            MissingDependency: What the node needs is not installed here.
            NodeFailed: It could not be started; nothing is left of it.
        """
        ...

    async def list_owned(self, owner: str) -> list[NodeView]:
        """All living nodes with that owner's tag, also those that no record knows."""
        ...

    async def get(self, node_id: str) -> NodeView | None:
        """The node, alive or ended; None when nothing of it is left."""
        ...

    async def destroy(self, node_id: str, *, at_once: bool = False) -> None:
        """Ends the node and returns when it is confirmed gone; does nothing when it is gone already.

        Args:
            node_id: Which.
            at_once: Without time to finish what runs, for one that does not work any more.

        Raises:
            NodeFailed: It still lives after the last means.
        """
        ...

    async def forget(self, node_id: str) -> None:
        """Removes what is kept of an ended node (its log); does nothing when there is nothing.

        Raises:
            NodeFailed: The node still lives.
        """
        ...

    async def endpoint(self, view: NodeView, port: int, /) -> str | None:
        """Base URL, without a trailing slash, of the node's server port; None while it is not known."""
        ...

    async def logs(self, node_id: str) -> str:
        """The end of the node's log, at most 64 KiB; empty when there is none."""
        ...


def check_node_id(node_id: str) -> None:
    """Refuses an id that is not safe as a folder's, a pod's or a variable's value.

    Raises:
        ComputeError: It is not 1 to 63 characters of ``a-z``, ``0-9`` and ``-``.
    """
    if not _NODE_ID.fullmatch(node_id):
        raise ComputeError(
            f"{node_id!r} is no node id: 1 to 63 characters of a-z, 0-9 and - are.",
            hint="Take the id from `conduit status`.",
        )
