"""A flow that is called by another gets a record for a text."""

from desk import Ticket, split, triage
from prefect import flow

from conduit.blocks import http_get


@flow
def sorted_out(page: str) -> list[Ticket]:
    return triage.map(split(page))


@flow
def inbox(url: str) -> list[Ticket]:
    return sorted_out(http_get(url))  # FAULT check.edge_type
