"""An argument is left out."""

from desk import answer, send, triage
from prefect import flow

from conduit.blocks import http_get


@flow
def inbox(url: str) -> None:
    reply = answer(triage(http_get(url).text))
    send(reply)  # FAULT check.arguments
