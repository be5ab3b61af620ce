"""The coroutine goes on in place of its value."""

from desk import lookup, split
from prefect import flow


@flow
async def inbox(order: int) -> list[str]:
    found = lookup(order)
    return split(found)  # FAULT check.edge_type
