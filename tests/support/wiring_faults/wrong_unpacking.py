"""A tuple of two is taken apart into three."""

from desk import Reply, answer, send, triage
from prefect import flow

from conduit import block
from conduit.blocks import http_get


@block
def routed(reply: Reply) -> tuple[Reply, str]:
    return reply, "desk@example.org"


@flow
def inbox(url: str) -> None:
    reply, address, copy = routed(answer(triage(http_get(url).text)))  # FAULT check.unpack
    send(reply, address)
    send(reply, copy)
