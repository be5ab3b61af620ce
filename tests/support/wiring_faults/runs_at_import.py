"""A flow that runs whenever somebody imports its file."""

from desk import Ticket, split, triage
from prefect import flow

from conduit.blocks import http_get


@flow
def inbox(url: str) -> list[Ticket]:
    return triage.map(split(http_get(url).text))


inbox("https://example.org/messages")  # FAULT check.runs_at_import
