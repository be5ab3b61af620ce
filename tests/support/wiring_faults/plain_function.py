"""A plain function in between gives another type."""

from desk import Ticket, split, triage
from prefect import flow

from conduit.blocks import http_get


def longest(parts: list[str]) -> int:
    return max(len(part) for part in parts)


@flow
def inbox(url: str) -> Ticket:
    return triage(longest(split(http_get(url).text)))  # FAULT check.edge_type
