"""What prefix-aware routing gains: time to the first token for four shared system prompts on two replicas.

The replicas are stand-ins, not engines: HTTP servers in processes of their own that speak gpu_server's routes, keep
the last two system prompts in a cache, and take a time in proportion to the tokens that are not cached before the
first token, one prompt after the other. That is how engines with a prefix cache behave when more prompts are shared
than fit; what is measured is the routing, through the client and the pool that calls of an LMLite go through.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections import OrderedDict

from _report import report
from aiohttp import web
from pydantic import SecretStr

from conduit.lmlite.replicas.client import Client
from conduit.lmlite.replicas.dispatch import dispatch
from conduit.lmlite.replicas.policies import PolicyName
from conduit.lmlite.replicas.pool import Pool, Replica
from conduit.lmlite.request import LMRequest, Sampling

BAR = 1.5
PROMPTS, REPLICAS, CACHED = 4, 2, 2
PROMPT_CHARS, CHARS_PER_TOKEN = 8_000, 4
PREFILL_TOKENS_PER_S = 20_000
ANSWER_TOKENS, TOKEN_S = 8, 0.002
CALLERS, REQUESTS, SETS = 4, 160, 5


class StandIn:
    """One replica: a cache of system prompts, and a prefill that costs what the cache does not hold."""

    def __init__(self) -> None:
        self._cache: OrderedDict[str, None] = OrderedDict()
        self._prefill = asyncio.Lock()

    async def ready(self, _: web.Request) -> web.Response:
        return web.json_response(
            {"ready": True, "models": [{"model_id": "m", "state": "ready", "progress": 0}]}
        )

    async def chat(self, request: web.Request) -> web.StreamResponse:
        system, user = (message["content"] for message in (await request.json())["messages"])
        async with self._prefill:
            cached = system in self._cache
            self._cache[system] = None
            self._cache.move_to_end(system)
            if len(self._cache) > CACHED:
                self._cache.popitem(last=False)
            new = len(user) + (0 if cached else len(system))
            await asyncio.sleep(new / CHARS_PER_TOKEN / PREFILL_TOKENS_PER_S)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for number in range(ANSWER_TOKENS):
            last = number == ANSWER_TOKENS - 1
            choice = {
                "delta": {"content": "cached " if cached else "new "},
                "finish_reason": "stop" if last else None,
            }
            await response.write(b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n")
            await asyncio.sleep(TOKEN_S)
        await response.write(b"data: [DONE]\n\n")
        return response


async def stand_in() -> None:
    """Serves until its input is closed; says its port first."""
    served, app = StandIn(), web.Application()
    app.add_routes([web.get("/ready", served.ready), web.post("/v1/chat/completions", served.chat)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


async def times(policy: PolicyName, ports: list[int], number: int) -> tuple[list[float], int]:
    """Seconds to the first token of each request, and how many found their prompt cached."""
    pool = Pool(
        [Replica(f"n{port}", f"http://127.0.0.1:{port}", SecretStr("stand-in")) for port in ports],
        policy_name=policy,
    )
    prompts = [f"{policy} {number} {i} ".ljust(PROMPT_CHARS, "x") for i in range(PROMPTS)]
    draw, firsts, cached = random.Random(number), list[float](), 0
    todo = iter([draw.choice(prompts) for _ in range(REQUESTS)])
    client = Client()

    async def caller() -> None:
        nonlocal cached
        for prompt in todo:
            messages = (
                {"role": "system", "content": prompt},
                {"role": "user", "content": "Hello there." * 10},
            )
            began, first = time.perf_counter(), None

            async def emit(_: str) -> None:
                nonlocal first
                first = first or time.perf_counter()

            request = LMRequest("m", messages, sampling=Sampling(max_tokens=ANSWER_TOKENS))
            reply = await dispatch(pool, client, request, timeout_s=30, emit=emit)
            assert first is not None
            firsts.append(first - began)
            cached += reply.text.startswith("cached")

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    await client.aclose()
    return firsts, cached


def p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--stand-in", action="store_true")
    if parser.parse_args().stand_in:
        asyncio.run(stand_in())
        return
    servers = [
        subprocess.Popen(
            [sys.executable, __file__, "--stand-in"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ},
        )
        for _ in range(REPLICAS)
    ]
    try:
        ports = [int(server.stdout.readline()) for server in servers if server.stdout is not None]
        found: dict[str, list[float]] = {"round_robin": [], "prefix": []}
        hits = dict.fromkeys(found, 0)
        for number in range(SETS):  # the homes of a set are a matter of its hashes, so several are asked
            for policy in ("round_robin", "prefix"):
                firsts, cached = asyncio.run(times(policy, ports, number))
                found[policy] += firsts
                hits[policy] += cached
    finally:
        for server in servers:
            server.communicate()
    for policy, firsts in found.items():
        median_ms, p95_ms = statistics.median(firsts) * 1e3, p95(firsts) * 1e3
        share = f"{hits[policy] / len(firsts):.0%} of prompts cached"
        print(f"{policy:12} first token: median {median_ms:6.1f} ms, p95 {p95_ms:6.1f} ms; {share}")
    report(
        "lmlite_prefix",
        statistics.median(found["round_robin"]) / statistics.median(found["prefix"]),
        BAR,
        "higher",
        p95_ratio=round(p95(found["round_robin"]) / p95(found["prefix"]), 2),
        cached_by_prefix=round(hits["prefix"] / len(found["prefix"]), 3),
        cached_by_round_robin=round(hits["round_robin"] / len(found["round_robin"]), 3),
        replicas="stand-ins: HTTP servers with a cache of two prompts, no engine",
    )


if __name__ == "__main__":
    main()
