"""A soak: mixed traffic for 20 minutes on two real replicas, calls and `lm.serve`, and nothing may grow.

Typed calls, chats, streams read and streams abandoned, a batch, requests that are refused, clients that open
connections and leave. Every few seconds the resident memory and the open files of this process and of every process
of the replicas are read. Memory and files are flat when the median of the last quarter is that of the second
quarter, give or take; the first quarter warms up.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import time
from collections import Counter
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp
import psutil
from _report import report

from conduit import ComputeProvider, LMLite, ModelConfig
from conduit.errors import PromptTooLong
from conduit.lmlite import Front

USERS = 12
SAMPLE_S = 5.0
MOST_GROWTH_MIB = 8.0
"""In any one process, from the second quarter to the last; allocators breathe."""
MOST_NEW_FILES = 4


@dataclass
class Ticket:
    """A support message, sorted."""

    topic: Literal["billing", "bug", "account", "other"]
    urgent: bool


@dataclass
class Traffic:
    """What was done, and what came of it."""

    done: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)


@dataclass
class Samples:
    """The readings of one process: MiB resident, open files."""

    rss: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)


class User:
    """Does one thing after the other, chosen at random."""

    def __init__(self, lm: LMLite, front: Front, http: aiohttp.ClientSession, traffic: Traffic) -> None:
        self.lm, self.front, self.http, self.traffic = lm, front, http, traffic
        self.headers = {"authorization": f"Bearer {front.token.get_secret_value()}"}
        self.kinds = (
            self.typed,
            self.chat,
            self.stream,
            self.abandon,
            self.rows,
            self.refused,
            self.served,
            self.leave,
            self.garbage,
        )

    async def run(self, until: float) -> None:
        while time.monotonic() < until:
            kind = random.choice(self.kinds)
            try:
                await kind()
                self.traffic.done[kind.__name__] += 1
            except Exception as error:
                self.traffic.wrong[f"{kind.__name__}: {type(error).__name__}: {error}"[:200]] += 1

    async def typed(self) -> None:
        message = "My invoice 4711 was charged twice, please help today."
        assert isinstance(await self.lm.acall(input=message, output=Ticket), Ticket)

    async def chat(self) -> None:
        await self.lm.acall(messages=[{"role": "user", "content": "hello"}], max_tokens=24)

    async def stream(self) -> None:
        async for _ in self.lm.astream(messages=[{"role": "user", "content": "tell me"}], max_tokens=32):
            pass

    async def abandon(self) -> None:
        pieces = self.lm.astream(messages=[{"role": "user", "content": "tell me more"}], max_tokens=200)
        async for _ in pieces:
            break
        await pieces.aclose()

    async def rows(self) -> None:
        calls = [{"messages": [{"role": "user", "content": f"row {n}"}], "max_tokens": 8} for n in range(8)]
        assert len(await self.lm.abatch(calls)) == len(calls)

    async def refused(self) -> None:
        try:
            await self.lm.acall(messages=[{"role": "user", "content": "word " * 5000}])
        except PromptTooLong:
            return
        raise AssertionError("an endless prompt was taken")

    async def served(self) -> None:
        async with self.post({"max_tokens": 16, "stream": random.random() < 0.5}) as answer:
            assert answer.status == 200, answer.status
            await answer.read()

    async def leave(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.05), self.post({"max_tokens": 300}):
                pass

    async def garbage(self) -> None:
        url = f"{self.front.url}/chat/completions"
        async with self.http.post(url, data=b'{"model": ', headers=self.headers) as answer:
            assert answer.status == 400, answer.status

    def post(self, fields: dict[str, Any]) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        body = {"model": self.lm.model_ids[0], "messages": [{"role": "user", "content": "hi"}], **fields}
        return self.http.post(f"{self.front.url}/chat/completions", json=body, headers=self.headers)


async def watch(samples: dict[str, Samples], traffic: Traffic, until: float) -> None:
    here = psutil.Process()
    while time.monotonic() < until:
        processes = [here, *here.children(recursive=True)]
        for process in processes:
            try:
                name = f"{process.pid} {' '.join(process.cmdline()[1:3])[:40]}"
                kept = samples.setdefault(name, Samples())
                kept.rss.append(process.memory_info().rss / 2**20)
                kept.files.append(process.num_fds())
            except psutil.Error:
                continue
        left = until - time.monotonic()
        print(f"\r{left:6.0f} s left, {sum(traffic.done.values())} done", end="", flush=True)
        await asyncio.sleep(SAMPLE_S)
    print()


async def soak(lm: LMLite, front: Front, minutes: float) -> tuple[Traffic, dict[str, Samples]]:
    traffic, samples, until = Traffic(), dict[str, Samples](), time.monotonic() + minutes * 60
    async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as group:
        for _ in range(USERS):
            group.create_task(User(lm, front, http, traffic).run(until))
        group.create_task(watch(samples, traffic, until))
    return traffic, samples


def growth(values: list[float] | list[int]) -> float:
    """The last quarter's median over the second's."""
    quarter = len(values) // 4
    return statistics.median(values[-quarter:]) - statistics.median(values[quarter : 2 * quarter])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--minutes", type=float, default=20.0)
    minutes = options.parse_args().minutes
    random.seed(0)
    model = ModelConfig("conduit/tiny", max_model_len=1024, max_model_concurrency=16)
    with LMLite(model, ComputeProvider.LOCAL, replicas=2, idle_timeout=300) as lm, lm.serve() as front:
        traffic, samples = asyncio.run(soak(lm, front, minutes))
    print("done:", dict(traffic.done))
    print("wrong:", dict(traffic.wrong))
    whole = max(len(kept.rss) for kept in samples.values())
    worst_mib, worst_files = 0.0, 0.0
    for name, kept in samples.items():
        if len(kept.rss) < 0.9 * whole:
            continue  # not there all the time
        mib, files = growth(kept.rss), growth(kept.files)
        worst_mib, worst_files = max(worst_mib, mib), max(worst_files, files)
        print(f"{name:<48} {kept.rss[-1]:7.1f} MiB ({mib:+.1f})  {kept.files[-1]:4} files ({files:+g})")
    report(
        "soak",
        worst_mib,
        MOST_GROWTH_MIB,
        "lower",
        ok=worst_files <= MOST_NEW_FILES and not traffic.wrong,
        file_growth=worst_files,
        minutes=minutes,
        requests=sum(traffic.done.values()),
        wrong=sum(traffic.wrong.values()),
    )


if __name__ == "__main__":
    main()
