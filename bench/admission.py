"""What an interactive caller feels of a batch: 500 batch rows beside 20 interactive calls, on a real engine.

The time to the first token of 20 streamed calls on an idle server, and of the same 20 while 500 rows of the batch
class (``service_tier: flex``) run: one server, ``conduit/tiny``, HTTP on this machine. That is done three times,
and the middle ratio counts. The rows are also run without any call beside them, as batch rows and as ordinary
requests: what the calls cost the rows, and what the class by itself costs them, can be read from that. Rows must
have the same texts in all runs: some are taken out of the engine for a call and computed again.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
from _report import report
from prometheus_client.parser import text_string_to_metric_families

BAR = 2.0
ROUNDS = 3
ROWS, CALLS, PLACES, CONNECTIONS = 500, 20, 50, 80
ROW_TOKENS, CALL_TOKENS = 64, 32
PAUSE_S = 0.5
BEGIN_AFTER_S = 2.0
QUIET_S = 11.0  # so long after the last interactive request batch rows take all places
MODEL = "conduit/tiny"
FOLDER = Path(__file__).resolve().parents[1] / "src/conduit/lmlite/tiny"
WORDS = (
    "the invoice of march is open my parcel never came and login fails since tuesday please refund".split()
)


def prompts(count: int, seed: int) -> list[str]:
    """Prompts of 20 to 40 words."""
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(20, 40))) for _ in range(count)]


def request(prompt: str, tokens: int, **fields: Any) -> dict[str, Any]:
    return {
        "model": MODEL,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": tokens,
        "temperature": 0,
        "ignore_eos": True,
        **fields,
    }


@contextmanager
def server_process() -> Iterator[tuple[str, str]]:
    """A loaded server; its URL and its token."""
    with tempfile.TemporaryDirectory() as folder:
        announce, config = Path(folder) / "announce.json", Path(folder) / "config.json"
        model = {
            "model_id": MODEL,
            "path": str(FOLDER),
            "max_model_len": 512,
            "max_model_concurrency": PLACES,
        }
        config.write_text(json.dumps({"announce": str(announce), "models": [model], "max_lifetime_s": 1800}))
        token = secrets.token_hex(16)
        process = subprocess.Popen(
            [sys.executable, "-m", "gpu_server", "--config", str(config), "--log-level", "warning"],
            env={**os.environ, "GPU_SERVER_TOKEN": token},
        )
        try:
            while not announce.exists():
                if process.poll() is not None:
                    sys.exit("the server did not start")
                time.sleep(0.05)
            place = json.loads(announce.read_text())
            url = f"http://{place['host']}:{place['port']}"
            asked = urllib.request.Request(f"{url}/ready", headers={"authorization": f"Bearer {token}"})
            while True:
                try:
                    urllib.request.urlopen(asked, timeout=10).close()
                except urllib.error.HTTPError:  # still loading
                    time.sleep(0.05)
                else:
                    break
            yield url, token
        finally:
            process.terminate()
            process.wait(30)


@asynccontextmanager
async def server() -> AsyncIterator[aiohttp.ClientSession]:
    """A session that is connected to a loaded server."""
    with server_process() as (url, token):
        headers, connector = {"authorization": f"Bearer {token}"}, aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(url, headers=headers, connector=connector) as session:
            yield session


async def first_token_s(session: aiohttp.ClientSession, prompt: str) -> float:
    """Seconds from sending a streamed call to the first text of its answer."""
    began = time.perf_counter()
    first = 0.0
    async with session.post("/v1/chat/completions", json=request(prompt, CALL_TOKENS, stream=True)) as answer:
        answer.raise_for_status()
        async for line in answer.content:
            if not first and line.startswith(b"data: {"):
                choices = json.loads(line[6:])["choices"]
                if choices and choices[0]["delta"].get("content"):
                    first = time.perf_counter() - began
    return first


async def call(session: aiohttp.ClientSession) -> list[float]:
    """The interactive calls, one after another with pauses."""
    times = []
    for prompt in prompts(CALLS, seed=2):
        await asyncio.sleep(PAUSE_S)
        times.append(await first_token_s(session, prompt))
    return times


async def run_rows(session: aiohttp.ClientSession, **fields: Any) -> tuple[list[str], float]:
    """The texts of all rows, and rows a second."""
    rows = list(enumerate(prompts(ROWS, seed=1)))[::-1]
    texts = [""] * ROWS

    async def connection() -> None:
        while rows:
            number, prompt = rows.pop()
            asked = request(prompt, ROW_TOKENS, **fields)
            async with session.post("/v1/chat/completions", json=asked) as answer:
                answer.raise_for_status()
                texts[number] = (await answer.json())["choices"][0]["message"]["content"]

    began = time.perf_counter()
    await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
    return texts, ROWS / (time.perf_counter() - began)


async def cancelled(session: aiohttp.ClientSession) -> float:
    """How many requests were taken out of the engine so far."""
    async with session.get("/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
    return sum(
        s.value for family in families for s in family.samples if s.name == "gpu_server_cancelled_total"
    )


def p95(times: Sequence[float]) -> float:
    """The value that 95 of 100 do not exceed."""
    return sorted(times)[math.ceil(0.95 * len(times)) - 1]


def line(name: str, times: Sequence[float]) -> None:
    middle = sorted(times)[len(times) // 2]
    print(f"{name:28} p50 {middle * 1e3:6.1f}  p95 {p95(times) * 1e3:6.1f}  most {max(times) * 1e3:6.1f} ms")


async def measure() -> None:
    ratios, rates, identical, still, taken_out = [], [], True, True, 0.0
    async with server() as session:
        for prompt in prompts(CONNECTIONS, seed=3):  # code paths
            await first_token_s(session, prompt)
        ordinary, ordinary_rate = await run_rows(session)
        await asyncio.sleep(QUIET_S)
        alone, alone_rate = await run_rows(session, service_tier="flex")
        for _ in range(ROUNDS):
            idle = await call(session)
            await asyncio.sleep(QUIET_S)
            before = await cancelled(session)
            rows = asyncio.create_task(run_rows(session, service_tier="flex"))
            await asyncio.sleep(BEGIN_AFTER_S)
            beside = await call(session)
            still = still and not rows.done()
            mixed, rate = await rows
            identical = identical and ordinary == alone == mixed
            rates.append(rate)
            ratios.append(p95(beside) / p95(idle))
            taken_out += await cancelled(session) - before
            line("first token, idle", idle)
            line("first token, beside the rows", beside)
            print(f"    the first call, which finds the engine full, {beside[0] * 1e3:.1f} ms")
    mixed_rate = sorted(rates)[ROUNDS // 2]
    print(
        f"rows a second: {ordinary_rate:.1f} ordinary, {alone_rate:.1f} batch, {mixed_rate:.1f} beside the calls"
    )
    report(
        "admission",
        sorted(ratios)[ROUNDS // 2],
        BAR,
        "lower",
        ok=identical and still,
        outputs_identical=identical,
        rows_ran_to_the_last_call=still,
        batch_to_ordinary_rows=round(alone_rate / ordinary_rate, 3),
        rows_beside_calls_to_alone=round(mixed_rate / alone_rate, 3),
        taken_out=taken_out,
    )


if __name__ == "__main__":
    asyncio.run(measure())
