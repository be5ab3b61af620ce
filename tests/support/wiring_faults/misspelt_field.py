"""A field that the record does not have."""

from desk import Ticket, split, triage
from prefect import flow

from conduit.blocks import http_get


@flow
def inbox(url: str) -> list[Ticket]:
    page = http_get(url)
    return triage.map(split(page.body))  # FAULT check.attribute
