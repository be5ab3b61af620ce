"""A choice that there is not."""

from typing import Literal

from desk import Ticket, split, triage
from prefect import flow

from conduit import block
from conduit.blocks import http_get


@block
def of_topic(tickets: list[Ticket], topic: Literal["billing", "bug"]) -> list[str]:
    return [ticket.summary for ticket in tickets if ticket.topic == topic]


@flow
def inbox(url: str) -> list[str]:
    return of_topic(triage.map(split(http_get(url).text)), "bugs")  # FAULT check.edge_type
