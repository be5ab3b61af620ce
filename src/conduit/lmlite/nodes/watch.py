"""What replicas say of themselves, asked from outside any LMLite: their state and their metrics."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import anyio

from conduit.compute import Owner, load_owner
from conduit.lmlite.nodes.inventory import DeploymentView, NodeSummary
from conduit.lmlite.portal import portal
from conduit.lmlite.replicas.answer import ConnectFailed, ConnectionBroken, whole
from conduit.lmlite.replicas.connections import Connections
from conduit.lmlite.replicas.pool import Replica
from conduit.provisioning import off_loop
from conduit.settings import Settings

_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class Said:
    """The answers of one replica.

    Attributes:
        at: When, in monotonic seconds.
        ready: The body of ``/ready``; empty where it did not answer.
        metrics: The text of ``/metrics``, in Prometheus' form.
    """

    at: float
    ready: Mapping[str, Any] = field(default_factory=dict)
    metrics: str = ""


class Watch:
    """Asks replicas again and again over connections that it keeps.

    Args:
        settings: Those under which the deployments were made.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connections = Connections()

    def ask(self, deployments: Sequence[DeploymentView]) -> dict[str, Said]:
        """What each living replica says, by its node's id; all are asked at once, 2 s at most."""
        nodes = [n for d in deployments for n in d.nodes if n.alive and n.url and not n.serverless]
        return portal().call(self._ask, nodes)

    async def _ask(self, nodes: Sequence[NodeSummary]) -> dict[str, Said]:
        owner = await off_loop(load_owner, self._settings)
        said: dict[str, Said] = {}

        async def one(node: NodeSummary) -> None:
            said[node.id] = await self._said(owner, node)

        async with anyio.create_task_group() as group:
            for node in nodes:
                group.start_soon(one, node)
        return said

    async def _said(self, owner: Owner, node: NodeSummary) -> Said:
        replica = Replica(node.id, node.url or "", owner.token(node.id), node.log, node.certificate)
        ready, metrics = b"", b""
        with anyio.move_on_after(_TIMEOUT_S):
            try:
                ready = await self._get(replica, "/ready")
                metrics = await self._get(replica, "/metrics")
            except (ConnectFailed, ConnectionBroken):
                pass
        try:
            body = json.loads(ready)
        except ValueError:
            body = {}
        return Said(
            time.monotonic(), body if isinstance(body, dict) else {}, metrics.decode(errors="replace")
        )

    async def _get(self, replica: Replica, path: str) -> bytes:
        answer = await self._connections.send(replica, "GET", path, {})
        try:
            return await whole(answer)
        finally:
            answer.close()

    def close(self) -> None:
        """Closes the connections."""
        portal().call(self._connections.aclose)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
