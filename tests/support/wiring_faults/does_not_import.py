"""A file that cannot be imported."""

from desk import Ticket, split, triage
from prefect import flow


@flow
def inbox(url: str) -> list[Ticket]:
    return triage.map(split(url))


TIMEOUT_S = int("soon")  # FAULT check.import
