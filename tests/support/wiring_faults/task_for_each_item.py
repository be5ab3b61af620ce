"""A model is asked in a loop: a task for each message."""

from desk import Ticket, split, triage
from prefect import flow

from conduit.blocks import http_get


@flow
def inbox(url: str) -> list[Ticket]:
    tickets = []
    for message in split(http_get(url).text):
        tickets.append(triage(message))  # FAULT check.many_tasks
    return tickets
