"""A field that may be None goes where a number belongs."""

from desk import lookup, triage
from prefect import flow

from conduit.blocks import http_get


@flow
async def inbox(url: str) -> str:
    ticket = triage(http_get(url).text)
    return await lookup(ticket.order)  # FAULT check.edge_partly
