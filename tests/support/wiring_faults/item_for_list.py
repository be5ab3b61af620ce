"""A page is mapped before it is split."""

from desk import Ticket, triage
from prefect import flow

from conduit.blocks import http_get


@flow
def inbox(url: str) -> list[Ticket]:
    text = http_get(url).text
    return triage.map(text)  # FAULT check.not_iterable
