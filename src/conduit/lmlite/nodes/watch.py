"""What replicas say of themselves, asked from outside any LMLite: their state and their metrics."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import anyio

from conduit.compute import ComputeProvider
from conduit.lmlite.nodes.inventory import DeploymentView, NodeSummary
from conduit.lmlite.nodes.site import Site, open_site
from conduit.lmlite.portal import portal
from conduit.lmlite.replicas.answer import ConnectFailed, ConnectionBroken, whole
from conduit.lmlite.replicas.connections import Connections
from conduit.lmlite.replicas.pool import Replica
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
        nodes = [node for deployment in deployments for node in deployment.nodes if node.alive and node.url]
        return portal().call(self._ask, nodes)

    async def _ask(self, nodes: Sequence[NodeSummary]) -> dict[str, Said]:
        site = await open_site(self._settings, ComputeProvider.LOCAL)
        said: dict[str, Said] = {}

        async def one(node: NodeSummary) -> None:
            said[node.id] = await self._said(site, node)

        async with anyio.create_task_group() as group:
            for node in nodes:
                group.start_soon(one, node)
        return said

    async def _said(self, site: Site, node: NodeSummary) -> Said:
        view = await site.provider.get(node.id)
        certificate = None if view is None else view.certificate
        replica = Replica(node.id, node.url or "", site.owner.token(node.id), node.log, certificate)
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
