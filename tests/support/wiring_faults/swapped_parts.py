"""The two parts of a tuple change places."""

from desk import Reply, answer, send, triage
from prefect import flow

from conduit import block
from conduit.blocks import http_get


@block
def routed(reply: Reply) -> tuple[Reply, str]:
    return reply, "desk@example.org"


@flow
def inbox(url: str) -> None:
    reply, address = routed(answer(triage(http_get(url).text)))
    send(address, reply)  # FAULT check.edge_type check.edge_type
