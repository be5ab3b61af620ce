"""The test for None is the wrong way round."""

from desk import lookup, triage
from prefect import flow

from conduit.blocks import http_get


@flow
async def inbox(url: str) -> str | None:
    ticket = triage(http_get(url).text)
    if ticket.order is None:
        return await lookup(ticket.order)  # FAULT check.edge_type
    return None
