"""The steps of one node's life: each asks the provider and writes the record, in the order that leaks nothing.

The row comes before the process and outlives it. Callers hold the deployment's lock.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import anyio

from conduit.compute import NodeSpec, NodeView
from conduit.errors import ConduitError
from conduit.lmlite.nodes.site import Site, off_loop
from conduit.store import NodeRecord, NodeState

_log = logging.getLogger(__name__)


async def start(site: Site, key: str, node_id: str, replica: int, config: Mapping[str, Any]) -> None:
    """Starts one node and returns at once; its server is not ready yet.

    Raises:
        ComputeError: The provider could not start it; nothing is left of it.
    """
    kind, owner = site.provider.kind, site.owner.id
    await off_loop(
        site.store.add_intent, node_id, deployment_key=key, provider=kind, owner=owner, replica=replica
    )
    await off_loop(site.store.transition, node_id, NodeState.CREATING)
    spec = NodeSpec(node_id, owner=owner, deployment_key=key, project=site.settings.project, config=config)
    try:
        view = await site.provider.create(spec)
    except ConduitError as error:
        await off_loop(site.store.transition, node_id, NodeState.FAILED, reason=error.message)
        raise
    await off_loop(site.store.transition, node_id, NodeState.STARTING, handle=view.handle)


async def living(site: Site, key: str, replicas: int) -> dict[int, NodeView]:
    """The nodes of a deployment that live, by replica number; brings the records of all others up to date."""
    found: dict[int, NodeView] = {}
    for record in await off_loop(site.store.nodes, deployment_key=key, live=True):
        view = await site.provider.get(record.id)
        if record.state is NodeState.TERMINATING or record.state is NodeState.INTENT:
            await end(site, record)  # whoever began this died over it
        elif view is None or not view.alive:
            reason = "It ended by itself (idle limit or lifetime) or was killed; its log has more."
            await off_loop(site.store.transition, record.id, NodeState.LOST, reason=reason)
        elif record.replica in found or record.replica >= replicas:
            await end(site, record)
        else:
            if record.state is NodeState.CREATING:
                await off_loop(site.store.transition, record.id, NodeState.STARTING, handle=view.handle)
            found[record.replica] = view
    return found


async def end(site: Site, record: NodeRecord, *, at_once: bool = False) -> None:
    """Ends a node and records it once the provider has confirmed that it is gone.

    Args:
        site: Where.
        record: The node's.
        at_once: Give it no time to finish what runs.

    Raises:
        ComputeError: It may still live; the record says so.
    """
    if record.state is not NodeState.INTENT:  # an intent alone asked the provider for nothing
        if record.state is not NodeState.TERMINATING:
            await off_loop(site.store.transition, record.id, NodeState.TERMINATING)
        await site.provider.destroy(record.id, at_once=at_once)
    await off_loop(site.store.transition, record.id, NodeState.TERMINATED)


async def end_all(site: Site, records: Iterable[NodeRecord]) -> None:
    """Ends several nodes at once; one that resists does not keep the others.

    Raises:
        ComputeError: The first of those that may still live.
    """
    errors: list[ConduitError] = []

    async def one(record: NodeRecord) -> None:
        try:
            await end(site, record)
        except ConduitError as error:
            _log.warning("node %s could not be ended: %s", record.id, error.message)
            errors.append(error)

    async with anyio.create_task_group() as group:
        for record in records:
            group.start_soon(one, record)
    if errors:
        raise errors[0]


async def remove(site: Site, key: str) -> tuple[str, ...]:
    """Ends all nodes of a deployment and removes their folders and every row; returns the nodes' ids.

    Raises:
        ComputeError: A node may still live; the rows stay.
    """
    records = await off_loop(site.store.nodes, deployment_key=key)
    await end_all(site, [record for record in records if not record.state.final])
    for record in records:
        await site.provider.forget(record.id)
    await off_loop(site.store.delete_deployment, key)
    return tuple(record.id for record in records)


async def sweep(site: Site, key: str) -> None:
    """Forgets nodes that ended, but for the last of each replica number, whose log may still be asked for."""
    ended: dict[int, list[NodeRecord]] = {}
    for record in await off_loop(site.store.nodes, deployment_key=key, live=False):
        ended.setdefault(record.replica, []).append(record)
    for records in ended.values():
        for record in records[:-1]:
            await site.provider.forget(record.id)
            await off_loop(site.store.delete_node, record.id)
