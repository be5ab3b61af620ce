"""Machines of this owner that no record knows: found by their tags, and ended. Others' are never touched."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable

import anyio

from conduit.compute import NodeView
from conduit.provisioning import looking
from conduit.provisioning.site import Site, off_loop


async def orphans_among(site: Site, views: Iterable[NodeView], *, grace_s: float = 0.0) -> list[NodeView]:
    """Those machines that belong to no live row.

    One that a row calls ended lives on against the provider's word, and has no grace. One that no row knows may be
    of another project with records of its own, so it counts only where it names this project or none.

    Args:
        site: Whose records.
        views: The owner's machines, listed before now.
        grace_s: How old one without a row must be.
    """
    found = []
    for view in views:
        if view.owner not in ("", site.owner.id) and not site.provider.caps.this_machine:
            continue  # the provider was asked for this owner's, and this is none
        record = await off_loop(site.store.node, view.node_id)
        if record is not None:
            if record.state.final:
                found.append(view)
        elif view.project in (None, site.settings.project) and _age_s(view) >= grace_s:
            found.append(view)
    return found


def _age_s(view: NodeView) -> float:
    return math.inf if view.created_at is None else time.time() - view.created_at


async def end_orphans(site: Site, orphans: Iterable[NodeView]) -> list[tuple[NodeView, str | None]]:
    """Ends them until it is proven; returns each with what kept it from that."""
    ended: list[tuple[NodeView, str | None]] = []

    async def one(view: NodeView) -> None:
        try:
            await looking.prove_gone(site, view.node_id, handle=view.handle, at_once=True)
            await site.provider.forget(view.node_id)
        except Exception as error:  # whatever a provider raises, it lives on for the next look
            ended.append((view, looking.said(error)))
        else:
            ended.append((view, None))

    async with anyio.create_task_group() as group:
        # By node: proof that a node is gone covers all machines that carry its id.
        for view in {view.node_id: view for view in orphans}.values():
            group.start_soon(one, view)
    return ended
