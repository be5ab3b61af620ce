"""``FakeProvider``: rents machines that exist in memory only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from conduit.compute import (
    Caps,
    ComputeProvider,
    NodeSpec,
    NodeStatus,
    NodeView,
    Offering,
    OfferingQuery,
)
from conduit.compute.base import check_node_id
from conduit.errors import ConduitError, NodeFailed


class FakeProvider:
    """A provider whose nodes exist in memory only.

    Attributes:
        nodes: What there is, by id; an ended node stays until it is forgotten.
        create_errors: Raised by the next creations, first to last, in place of a node.
        on_sale: Its offerings.
    """

    kind = ComputeProvider.LOCAL

    def __init__(self, *, this_machine: bool = False) -> None:
        self.nodes: dict[str, NodeView] = {}
        self.specs: dict[str, NodeSpec] = {}
        self.create_errors: list[ConduitError] = []
        self.on_sale: list[Offering] = []
        self.caps = Caps(this_machine=this_machine, gpus=False)

    def kill(self, node_id: str) -> None:
        """Ends a node behind everybody's back."""
        self.nodes[node_id] = replace(self.nodes[node_id], status=NodeStatus.EXITED)

    async def create(self, spec: NodeSpec) -> NodeView:
        """Makes a running node."""
        if self.create_errors:
            raise self.create_errors.pop(0)
        if spec.node_id in self.nodes:
            raise NodeFailed(f"Node {spec.node_id} exists.", node_id=spec.node_id)
        self.specs[spec.node_id] = spec
        self.nodes[spec.node_id] = NodeView(
            spec.node_id,
            owner=spec.owner,
            provider=self.kind,
            status=NodeStatus.RUNNING,
            deployment_key=spec.deployment_key,
            project=spec.project,
            created_at=0.0,
            handle={"number": len(self.specs)},
            log=f"/fake/{spec.node_id}.log",
        )
        return self.nodes[spec.node_id]

    async def list_owned(self, owner: str) -> list[NodeView]:
        """The living nodes of that owner."""
        return [view for view in self.nodes.values() if view.alive and view.owner == owner]

    async def offerings(self, _query: OfferingQuery, /) -> list[Offering]:
        """What ``on_sale`` holds."""
        return list(self.on_sale)

    async def get(self, node_id: str, _handle: Mapping[str, Any] | None = None, /) -> NodeView | None:
        """The node, alive or ended."""
        check_node_id(node_id)
        return self.nodes.get(node_id)

    async def destroy(
        self,
        node_id: str,
        _handle: Mapping[str, Any] | None = None,
        /,
        *,
        at_once: bool = False,  # noqa: ARG002 - nothing runs in it
    ) -> None:
        """Ends the node."""
        check_node_id(node_id)
        if node_id in self.nodes:
            self.kill(node_id)

    async def forget(self, node_id: str) -> None:
        """Removes an ended node."""
        check_node_id(node_id)
        if node_id in self.nodes and self.nodes[node_id].alive:
            raise NodeFailed(f"Node {node_id} still lives.", node_id=node_id)
        self.nodes.pop(node_id, None)

    async def endpoint(self, view: NodeView, port: int) -> str | None:
        """An address that leads nowhere: ``http://<node_id>:<port>``."""
        return f"http://{view.node_id}:{port}" if view.alive else None

    async def logs(self, node_id: str, _handle: Mapping[str, Any] | None = None, /) -> str:
        """One line."""
        check_node_id(node_id)
        return f"log of {node_id}" if node_id in self.nodes else ""

    async def billed_usd(self, _node_id: str, _handle: Mapping[str, Any] | None = None, /) -> float | None:
        """Nothing."""
        return 0.0

    async def aclose(self) -> None:
        """There is nothing to close."""
