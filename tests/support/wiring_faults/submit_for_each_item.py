"""Calls are submitted in a comprehension: a task for each message."""

from desk import Ticket, split, triage
from prefect import flow

from conduit.blocks import http_get


@flow
def inbox(url: str) -> list[Ticket]:
    pending = [triage.submit(message) for message in split(http_get(url).text)]  # FAULT check.many_tasks
    return [each.result() for each in pending]
