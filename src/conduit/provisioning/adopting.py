"""The nodes of a deployment that live, whoever started them: found again, taken over, or seen to their end."""

from __future__ import annotations

import time

from conduit.compute import NodeView
from conduit.errors import IllegalTransition
from conduit.provisioning import looking
from conduit.provisioning.ending import close, note_gone, tell
from conduit.provisioning.site import Site, off_loop
from conduit.store import NodeRecord, NodeState


async def living(site: Site, key: str, replicas: int) -> dict[int, NodeView]:
    """The nodes of a deployment that live, by replica number; brings the records of all others up to date.

    Callers hold the deployment's lease.

    Raises:
        ConduitError: The provider did not tell.
    """
    found: dict[int, NodeView] = {}
    for record in await off_loop(site.store.nodes, deployment_key=key, live=True):
        if record.state is NodeState.TERMINATING or record.state is NodeState.INTENT:
            await tell(site, record)  # whoever began this died over it
        elif record.replica in found or record.replica >= replicas:
            await tell(site, record, reason="There is one too many.")
        elif record.expires_at is not None and time.time() >= record.expires_at:
            await tell(site, record, reason="Its lifetime is over.")
        elif (view := await _taken_over(site, record)) is not None:
            found[record.replica] = view
    return found


async def adopt(site: Site, record: NodeRecord, view: NodeView) -> bool:
    """Records the machine that a creation was not seen to make; False if its row was closed meanwhile."""
    try:
        await off_loop(
            site.store.transition,
            record.id,
            NodeState.STARTING,
            handle=view.handle,
            usd_per_hour=view.usd_per_hour,
        )
    except IllegalTransition:
        return False
    return True


async def _taken_over(site: Site, record: NodeRecord) -> NodeView | None:
    if record.state is NodeState.CREATING:
        # Nobody has heard what became of it; its row was last changed before it was asked for.
        view = await looking.turned_up(site, record.id, record.updated_at)
        if view is None:
            await close(site, record.id, NodeState.FAILED, reason="Nothing came of it.")
        elif await adopt(site, record, view):
            return view
        return None
    view = await looking.still_there(site, record)
    if view is None:
        await note_gone(site, record, await site.provider.get(record.id, record.handle or None))
    return view
