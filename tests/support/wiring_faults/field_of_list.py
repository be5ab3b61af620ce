"""The field of an item is asked of the list."""

from desk import split, triage
from prefect import flow

from conduit.blocks import http_get


@flow
def inbox(url: str) -> list[str]:
    tickets = triage.map(split(http_get(url).text))
    return split(tickets.summary)  # FAULT check.attribute
