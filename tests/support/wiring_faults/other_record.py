"""A ticket is sent where a reply belongs: the answer to it was left out."""

from desk import send, split, triage
from prefect import flow

from conduit.blocks import http_get


@flow
def inbox(url: str) -> None:
    messages = split(http_get(url).text)
    for message in messages[:3]:
        ticket = triage.raw(message)
        send(ticket, "desk@example.org")  # FAULT check.edge_type
