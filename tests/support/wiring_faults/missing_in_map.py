"""A map is not told the argument that is the same for all items."""

from desk import answer, send, split, triage
from prefect import flow

from conduit.blocks import http_get


@flow
def inbox(url: str) -> list[None]:
    replies = answer.map(triage.map(split(http_get(url).text)))
    return send.map(replies)  # FAULT check.arguments
