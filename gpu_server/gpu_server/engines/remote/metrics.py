"""What the engine's own `/metrics` adds to our counts: how full its cache is, and how many steps it made."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from gpu_server.engines.base import EngineCounters, EngineError
from gpu_server.engines.remote.dialect import MetricNames
from gpu_server.engines.remote.wire import Wire

POLL_S = 2.0


async def follow(wire: Wire, names: MetricNames, counters: EngineCounters, busy: Callable[[], bool]) -> None:
    """Keep the counters up to date until cancelled; an idle engine is read once and then left alone."""
    settled = False
    while True:
        if not settled or busy():
            settled = not busy()
            await read(wire, names, counters)
        await asyncio.sleep(POLL_S)


async def read(wire: Wire, names: MetricNames, counters: EngineCounters) -> None:
    """Take one reading; one that fails changes nothing."""
    try:
        page = await wire.get("/metrics", timeout_s=POLL_S)
    except EngineError:
        return
    if shares := values(page, names.kv_used):
        counters.kv_used = max(shares)
    if names.steps and (steps := values(page, names.steps)):
        counters.steps = int(sum(steps))


def values(page: str, name: str) -> list[float]:
    """Return one metric's values, a line for each of the engine's ranks."""
    return [float(value) for value in re.findall(rf"^{re.escape(name)}(?:{{.*}})? (\S+)", page, re.MULTILINE)]
