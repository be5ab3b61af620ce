"""A field of a mapping's value goes where the value belongs."""

from desk import Reply, answer, split, triage
from prefect import flow

from conduit.blocks import http_get


@flow
def inbox(url: str) -> Reply:
    by_topic = {ticket.topic: ticket for ticket in triage.map(split(http_get(url).text))}
    return answer(by_topic["bug"].summary)  # FAULT check.edge_type
