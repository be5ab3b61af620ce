"""A map gets the items of another stage."""

from desk import send, split, triage
from prefect import flow

from conduit.blocks import http_get


@flow
def inbox(url: str) -> list[None]:
    tickets = triage.map(split(http_get(url).text), batch=16)
    return send.map(tickets, address="desk@example.org")  # FAULT check.edge_type
