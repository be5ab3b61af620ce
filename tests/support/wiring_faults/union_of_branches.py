"""One branch gives what the next block does not take."""

from desk import Ticket, triage
from prefect import flow

from conduit.blocks import http_get


@flow
def inbox(url: str, whole: bool) -> Ticket:
    page = http_get(url)
    message = page if whole else page.text
    return triage(message)  # FAULT check.edge_partly
