"""What providers have billed, written down beside what Conduit reckons itself."""

from __future__ import annotations

import logging

from conduit.provisioning import looking
from conduit.provisioning.site import Site, off_loop
from conduit.store import NodeRecord

_log = logging.getLogger(__name__)


async def note_bill(site: Site, record: NodeRecord) -> str | None:
    """Asks what a node was billed so far and writes it down; returns what kept it from that."""
    if not record.handle or not site.provider.caps.costs:
        return None
    try:
        usd = await site.provider.billed_usd(record.id, record.handle)
    except Exception as error:  # a bill that cannot be had is no reason to fail: the estimate is there
        _log.info("no bill of node %s: %s", record.id, looking.said(error))
        return f"No bill of node {record.id}: {looking.said(error)}."
    if usd is not None:
        await off_loop(site.store.set_billed, record.id, usd)
    return None
