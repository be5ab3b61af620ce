"""An argument by a name that the block does not have."""

from desk import Ticket, triage
from prefect import flow

from conduit.blocks import http_get


@flow
def inbox(url: str) -> Ticket:
    return triage(text=http_get(url).text)  # FAULT check.arguments check.arguments
