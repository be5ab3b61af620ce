"""The end of nodes: told to, confirmed, and only then written down as ended.

A row becomes ``terminating`` under the deployment's lease. From there on nothing but its end can follow, so any
number of processes may go on with it, without a lease.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Coroutine, Iterable

import anyio

from conduit.compute import NodeView
from conduit.errors import ConduitError, IllegalTransition
from conduit.provisioning import looking
from conduit.provisioning.bills import note_bill
from conduit.provisioning.site import Site, off_loop
from conduit.store import NodeRecord, NodeState

_log = logging.getLogger(__name__)

ENDED_ITSELF = "It ended by itself (idle limit or lifetime) or was killed; its log has more."


async def end(site: Site, record: NodeRecord, *, at_once: bool = False, reason: str | None = None) -> None:
    """Ends a node and records it once the provider has confirmed that it is gone.

    Args:
        site: Where.
        record: The node's.
        at_once: Give it no time to finish what runs.
        reason: Why, for the row.

    Raises:
        ComputeError: It may still live; the row says so, and ``reconcile`` goes on with it.
    """
    decided = await decide(site, record, reason=reason)
    if decided is not None:
        shown = record if record.handle else decided
        await finish(site, decided, at_once=at_once, settled_at=_settled_at(site, shown))


async def decide(site: Site, record: NodeRecord, *, reason: str | None = None) -> NodeRecord | None:
    """Writes down that a node is to end; returns its row while that has to be seen to."""
    if record.state.final:
        return None
    if record.state is NodeState.INTENT:  # an intent alone asked the provider for nothing
        return await close(site, record.id, NodeState.TERMINATED, reason=reason)
    if record.state is NodeState.TERMINATING:
        return record
    try:
        return await off_loop(site.store.transition, record.id, NodeState.TERMINATING, reason=reason)
    except IllegalTransition:
        return await _living_row(site, record.id)


async def finish(
    site: Site, record: NodeRecord, *, at_once: bool = False, settled_at: float | None = None
) -> None:
    """Sees a node that is to end to its confirmed end.

    Args:
        site: Where.
        record: The node's.
        at_once: Give it no time to finish what runs.
        settled_at: Until when it may still turn up, Unix seconds, where that is known better than from the row.

    Raises:
        ComputeError: It may still live.
    """
    if settled_at is None:
        settled_at = _settled_at(site, record)
    gone = await looking.prove_gone(
        site, record.id, handle=record.handle, settled_at=settled_at, at_once=at_once
    )
    if gone.seen is not None and not record.handle:
        await _note_seen(site, record, gone.seen)
    await close(site, record.id, NodeState.TERMINATED, reason=record.reason, ended_at=gone.at)


async def tell(site: Site, record: NodeRecord, *, at_once: bool = False, reason: str | None = None) -> None:
    """Has a node end without waiting for the proof where that takes long; ``reconcile`` sees to it.

    Raises:
        ComputeError: It may still live, where its provider proves at once that it does not.
    """
    if site.provider.caps.absent_gap_s == 0:
        await end(site, record, at_once=at_once, reason=reason)
        return
    decided = await decide(site, record, reason=reason)
    if decided is not None:
        try:
            await site.provider.destroy(decided.id, decided.handle or None, at_once=at_once)
        except Exception as error:  # the row says that it is to end
            _log.warning("node %s has not taken its order to end yet: %s", decided.id, looking.said(error))


async def note_gone(site: Site, record: NodeRecord, view: NodeView | None) -> None:
    """Records that a node went away unasked; one of which its provider keeps a shell is removed there, too.

    Args:
        site: Where.
        record: The node's.
        view: What is left of it; None for nothing.
    """
    if view is not None and site.provider.caps.costs:
        await tell(site, record, at_once=True, reason=ENDED_ITSELF)
    else:
        await close(site, record.id, NodeState.LOST, reason=ENDED_ITSELF)


async def end_all(site: Site, records: Iterable[NodeRecord]) -> None:
    """Ends several nodes at once; one that resists does not keep the others.

    Raises:
        ComputeError: The first of those that may still live.
    """
    errors = await each(records, lambda record: end(site, record))
    if errors:
        raise errors[0]


async def each(
    records: Iterable[NodeRecord], work: Callable[[NodeRecord], Coroutine[object, object, None]]
) -> list[ConduitError]:
    """Does the same for many nodes at once; returns the errors of those with which it failed."""
    errors: list[ConduitError] = []

    async def one(record: NodeRecord) -> None:
        try:
            await work(record)
        except ConduitError as error:
            _log.warning("node %s could not be ended: %s", record.id, error.message)
            errors.append(error)

    async with anyio.create_task_group() as group:
        for record in records:
            group.start_soon(one, record)
    return errors


async def remove(site: Site, key: str) -> tuple[str, ...]:
    """Ends all nodes of a deployment and removes their logs and every row; returns the nodes' ids.

    Raises:
        ComputeError: A node may still live; the rows stay.
    """
    records = await off_loop(site.store.nodes, deployment_key=key)
    await end_all(site, [record for record in records if not record.state.final])
    for record in records:
        await note_bill(site, record)
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


async def close(
    site: Site, node_id: str, state: NodeState, *, reason: str | None = None, ended_at: float | None = None
) -> NodeRecord | None:
    """Writes down a node's end; returns its row if it proves not to have ended after all.

    Args:
        site: Where.
        node_id: The node's.
        state: A final one.
        reason: Why it ended.
        ended_at: When, Unix seconds; None for now.
    """
    with anyio.CancelScope(shield=True):
        try:
            await off_loop(
                site.store.transition, node_id, state, reason=reason, ended_at=ended_at or time.time()
            )
        except IllegalTransition:  # somebody else was quicker
            return await _living_row(site, node_id)
    return None


def _settled_at(site: Site, record: NodeRecord) -> float:
    """Until when a machine of the node may still turn up: one that was ready was to be seen."""
    # The row was last changed when its creation was answered, or later.
    return 0.0 if record.ready_at is not None else record.updated_at + site.provider.caps.settle_s


async def _note_seen(site: Site, record: NodeRecord, view: NodeView) -> None:
    """Writes down that a node of which no creation ever told did come to be, and cost something."""
    try:
        await off_loop(
            site.store.transition,
            record.id,
            NodeState.TERMINATING,
            handle=view.handle,
            reason=record.reason,
            usd_per_hour=view.usd_per_hour,
        )
    except IllegalTransition:
        _log.debug("node %s was closed by another process", record.id)


async def _living_row(site: Site, node_id: str) -> NodeRecord | None:
    record = await off_loop(site.store.node, node_id)
    return None if record is None or record.state.final else record
