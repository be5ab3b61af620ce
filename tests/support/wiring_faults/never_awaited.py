"""A coroutine that nobody awaits."""

from desk import lookup
from prefect import flow


@flow
async def inbox(order: int) -> None:
    lookup(order)  # FAULT check.never_runs
