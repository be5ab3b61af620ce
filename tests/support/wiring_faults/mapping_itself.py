"""Iterating over a mapping gives its keys."""

from desk import Reply, answer, split, triage
from prefect import flow

from conduit.blocks import http_get


@flow
def inbox(url: str) -> list[Reply]:
    by_topic = {ticket.topic: ticket for ticket in triage.map(split(http_get(url).text))}
    return answer.map(by_topic)  # FAULT check.edge_type
