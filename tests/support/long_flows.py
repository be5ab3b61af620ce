"""Flows whose model calls last long enough to be cancelled; a program: ``python long_flows.py NAME``.

``TEST_MODEL`` is the folder of a model that is slow and never ends by itself. A flow says ``left`` when it goes on
after what cancelled its calls; ``cancelled_map`` cancels them when it is told to by a line.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import suppress

from prefect import flow

from conduit import LMLite, ModelConfig
from conduit.errors import ConduitError

TOPICS = [str(number) for number in range(40)]
BLOCK_LIMIT_S = 4.0
FLOW_LIMIT_S = 20.0  # what Prefect does before the first call is in it, on a machine that may be busy

lm = LMLite(
    ModelConfig(os.environ["TEST_MODEL"], max_model_len=4096, max_model_concurrency=4), idle_timeout=600
)


@lm.block
def write(topic: str) -> str:
    """Write about the topic, at length."""


@lm.block
async def awrite(topic: str) -> str:
    """Write about the topic, at length."""


def goes_on() -> None:
    print("left", flush=True)
    time.sleep(600)


@flow
def single() -> str:
    return write("one")


@flow
def mapped() -> list[str]:
    return write.map(TOPICS)


@flow
def submitted() -> list[str]:
    return [future.result() for future in [write.submit(topic) for topic in TOPICS]]


@flow
def busy_elsewhere() -> None:
    futures = [write.submit(topic) for topic in TOPICS]
    while futures:
        time.sleep(0.1)


@flow
async def amapped() -> list[str]:
    return await awrite.map(TOPICS)


@flow
async def cancelled_map() -> None:
    job = asyncio.ensure_future(awrite.map(TOPICS))
    await asyncio.to_thread(sys.stdin.readline)
    job.cancel()
    with suppress(asyncio.CancelledError):
        await job
    goes_on()


@flow
def limited_block() -> None:
    with suppress(ConduitError):
        write.with_options(timeout_s=BLOCK_LIMIT_S)("one")
    goes_on()


@flow
async def limited_async_block() -> None:
    with suppress(ConduitError):
        await awrite.with_options(timeout_s=BLOCK_LIMIT_S)("one")
    goes_on()


@flow(timeout_seconds=FLOW_LIMIT_S)
def limited_flow() -> list[str]:
    return write.map(TOPICS)


@flow(timeout_seconds=FLOW_LIMIT_S)
def limited_submits() -> list[str]:
    return [future.result() for future in [write.submit(topic) for topic in TOPICS]]


@flow(timeout_seconds=FLOW_LIMIT_S)
async def limited_async_flow() -> list[str]:
    return await awrite.map(TOPICS)


if __name__ == "__main__":
    made = globals()[sys.argv[1]]()
    if asyncio.iscoroutine(made):
        asyncio.run(made)
