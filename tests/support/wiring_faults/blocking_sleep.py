"""A coroutine that blocks its event loop."""

import time

from desk import lookup
from prefect import flow


@flow
async def inbox(order: int) -> str:
    time.sleep(30)  # noqa: ASYNC251 # FAULT check.blocking_sleep
    return await lookup(order)
