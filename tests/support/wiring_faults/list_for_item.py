"""All tickets go where one belongs."""

from desk import Reply, answer, split, triage
from prefect import flow

from conduit.blocks import http_get


@flow
def inbox(url: str) -> Reply:
    tickets = triage.map(split(http_get(url).text))
    return answer(tickets)  # FAULT check.edge_type
