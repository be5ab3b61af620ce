"""What serving costs on top of the engine: CPU time a request under load, and latency of a single call.

The same requests to the same model: once with the engine driven directly in a bare process (`_bare_engine`), once
through the server, whole and streamed. 100 at a time, 64 tokens each, prompts of one length (on a CPU the engine
advances together only sequences that are equally long). Counted is the CPU time of the server and its engine's
process; this process makes the load and does not count. The latency is one request at a time through an LMLite.
Everything is measured in turns, because machines do not hold still; figures are medians.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
from _report import report
from _server import Server, serving

import conduit.lmlite
from conduit import ComputeProvider, LMLite, ModelConfig

WHOLE_BAR, STREAMED_BAR, LATENCY_BAR_MS = 1.2, 1.4, 5.0
REQUESTS, TOKENS = 100, 64
ROUNDS, CALLS, WARM_UP = 5, 60, 10
TINY: Final = Path(conduit.lmlite.__file__).parent / "tiny"
PROMPTS: Final = [f"Question {i:03}: say something about {i * 7919 % 1000:03}." for i in range(REQUESTS)]


class Bare:
    """The engine without a server."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, prompts: list[str], max_tokens: int, *, ignore_eos: bool) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"prompts": prompts, "max_tokens": max_tokens, "ignore_eos": ignore_eos}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        result: dict[str, Any] = json.loads(self._process.stdout.readline())
        return result


@contextmanager
def bare() -> Iterator[Bare]:
    environment = {
        **os.environ,
        "RAYON_NUM_THREADS": "1",
        "MISTRALRS_CPU_KV_F32": "1",
        "RUST_LOG": "warn",
    }
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("_bare_engine.py")), str(TINY), str(REQUESTS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    with process:
        yield Bare(process)
        assert process.stdin is not None
        process.stdin.close()


async def load(server: Server, *, stream: bool) -> tuple[float, list[str]]:
    """Send all requests at once; return the server's CPU seconds, and the texts."""

    async def one(session: aiohttp.ClientSession, prompt: str) -> str:
        body = {
            "model": "conduit/tiny",
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": TOKENS,
            "temperature": 0,
            "ignore_eos": True,
            "stream": stream,
        }
        async with session.post(f"{server.url}/v1/chat/completions", json=body) as answer:
            answer.raise_for_status()
            if not stream:
                return str((await answer.json())["choices"][0]["message"]["content"])
            text = ""
            async for line in answer.content:
                if line.startswith(b"data: {"):
                    text += json.loads(line[6:])["choices"][0]["delta"].get("content") or ""
            return text

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=server.headers) as session:
        before = server.cpu_s
        texts = await asyncio.gather(*(one(session, prompt) for prompt in PROMPTS))
        return server.cpu_s - before, list(texts)


def cpu(folder: Path, engine: Bare) -> tuple[list[float], list[float], list[float], bool]:
    """Milliseconds of CPU a request: directly, whole, streamed; and whether all texts are the same."""
    entry = {
        "model_id": "conduit/tiny",
        "path": str(TINY),
        "max_model_len": 256,
        "max_model_concurrency": REQUESTS,
    }
    figures: dict[str, list[float]] = {"direct": [], "whole": [], "streamed": []}
    same = True
    with serving(folder, [entry]) as server:
        for number in range(ROUNDS + 1):  # the first one warms up
            took = engine.run(PROMPTS, TOKENS, ignore_eos=True)
            whole_s, whole = asyncio.run(load(server, stream=False))
            again = engine.run(PROMPTS, TOKENS, ignore_eos=True)
            streamed_s, streamed = asyncio.run(load(server, stream=True))
            same = same and whole == streamed == took["texts"] == again["texts"]
            if number:
                figures["direct"] += [took["cpu_s"], again["cpu_s"]]
                figures["whole"].append(whole_s)
                figures["streamed"].append(streamed_s)
    direct, whole_ms, streamed_ms = ([1e3 * each / REQUESTS for each in kind] for kind in figures.values())
    return direct, whole_ms, streamed_ms, same


def latency(engine: Bare) -> tuple[list[float], list[float], bool]:
    """Milliseconds of single calls: directly, and through an LMLite; and whether all texts are the same."""
    direct: list[float] = []
    called: list[float] = []
    same = True
    config = ModelConfig("conduit/tiny", max_model_len=256, max_model_concurrency=REQUESTS)
    with LMLite(config, ComputeProvider.LOCAL, idle_timeout=120) as lm:
        for prompt in PROMPTS[:CALLS]:
            took = engine.run([prompt], 16, ignore_eos=False)
            direct.append(1e3 * took["wall_s"])
            began = time.perf_counter()
            text = lm(messages=[{"role": "user", "content": prompt}], max_tokens=16, temperature=0)
            called.append(1e3 * (time.perf_counter() - began))
            same = same and [text] == took["texts"]
        lm.delete()
    return direct[WARM_UP:], called[WARM_UP:], same


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, bare() as engine:
        direct, whole, streamed, same = cpu(Path(folder), engine)
    with bare() as engine:
        alone, called, same_alone = latency(engine)
    base, p50_alone, p50_called = map(statistics.median, (direct, alone, called))
    whole_ratio, streamed_ratio = statistics.median(whole) / base, statistics.median(streamed) / base
    added_ms = p50_called - p50_alone
    for name, values in (("directly", direct), ("whole", whole), ("streamed", streamed)):
        spread = f"{min(values):.2f}-{max(values):.2f}"
        print(f"{name:>9}: {statistics.median(values):6.2f} ms of CPU a request ({spread})")
    print(f"one call: {p50_alone:.2f} ms directly, {p50_called:.2f} ms through LMLite (medians)")
    report(
        "lmlite_overhead",
        whole_ratio,
        WHOLE_BAR,
        "lower",
        ok=same and same_alone and streamed_ratio <= STREAMED_BAR and added_ms <= LATENCY_BAR_MS,
        streamed=round(streamed_ratio, 3),
        streamed_bar=STREAMED_BAR,
        added_latency_p50_ms=round(added_ms, 2),
        added_latency_bar_ms=LATENCY_BAR_MS,
        direct_cpu_ms=round(base, 2),
        outputs_identical=same and same_alone,
    )


if __name__ == "__main__":
    main()
