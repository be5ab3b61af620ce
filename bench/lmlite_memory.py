"""What serving takes of memory beside the weights: idle, for each further model, under 100 concurrent requests.

Servers are started plainly, and all their processes are summed: their RSS, which counts the pages of a shared
library in every process that maps it. The peak under load is the highest of many readings while 100 callers wait
for a model that runs 64 at a time; it grows with those, because the engine holds the keys and values of all that
run twice when its batch changes.

Beside it stands what transformers takes on torch's CPU build: one process that loads the same folder in f32 and
generates 64 answers of as many tokens in one batch, without any server around it. It is no part of the bars. vLLM
is not measured: its package for the CPU needs corrections by hand.

On a machine with an NVIDIA GPU what SGLang and vLLM take of it is held against the plan: `_gpu_memory.py`.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from _report import report
from _server import Server, serving
from _transformers import transformers_memory

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "models"))
from _gpu_memory import on_gpu

import random_weights

ONE_BAR_MB, FURTHER_BAR_MB, LOAD_BAR_MB = 150.0, 120.0, 350.0
GPU_OFF_BAR, GPU_BESIDE_BAR_MB = 0.05, 2000.0
REQUESTS, TOKENS, BURSTS = 100, 64, 3
CONCURRENCY = 64
MB: Final = 1e6


@dataclass
class Memory:
    """Of all processes of one server, in bytes."""

    rss: int
    pss: int | None
    by_process: list[str]


def memory(server: Server) -> Memory:
    rss, pss, lines = 0, 0, []
    for process in server.processes:
        full = process.memory_full_info()
        rss += full.rss
        pss += getattr(full, "pss", 0)
        name = "engine" if "embedded" in " ".join(process.cmdline()) else "server"
        lines.append(f"{name} {full.rss / MB:.0f} RSS, {getattr(full, 'pss', 0) / MB:.0f} PSS")
    return Memory(rss, pss or None, lines)


class Peak(threading.Thread):
    """Watches the sums of the processes' RSS and PSS."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self.rss = self.pss = 0
        self._processes = server.processes
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.01):
            now = [process.memory_full_info() for process in self._processes]
            self.rss = max(self.rss, sum(each.rss for each in now))
            self.pss = max(self.pss, sum(getattr(each, "pss", each.rss) for each in now))

    def end(self) -> None:
        self._over.set()
        self.join()


async def load(server: Server) -> None:
    async def one(session: aiohttp.ClientSession, number: int) -> None:
        body: dict[str, Any] = {
            "model": "model-0",
            "messages": [{"role": "user", "content": f"Question {number:03}"}],
            "max_tokens": TOKENS,
            "ignore_eos": True,
        }
        async with session.post(f"{server.url}/v1/chat/completions", json=body) as answer:
            answer.raise_for_status()
            await answer.read()

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=server.headers) as session:
        for _ in range(BURSTS):
            await asyncio.gather(*(one(session, number) for number in range(REQUESTS)))


def settled(server: Server) -> Memory:
    """Memory once it stands still."""
    before, deadline = memory(server), time.monotonic() + 10
    while time.monotonic() < deadline:
        time.sleep(0.5)
        now = memory(server)
        if abs(now.rss - before.rss) < MB:
            return now
        before = now
    return before


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = random_weights.make(folder / "model")
        # Loaded in f32, which is how the file has them.
        weights = (model / "model.safetensors").stat().st_size
        entry = {"path": str(model), "max_model_len": 512, "max_model_concurrency": CONCURRENCY}
        idle = {}
        for count in (1, 3):
            with serving(folder, [{**entry, "model_id": f"model-{n}"} for n in range(count)]) as server:
                idle[count] = settled(server)
                print(f"idle, {count} model(s): " + "; ".join(idle[count].by_process))
                if count == 1:
                    peak = Peak(server)
                    peak.start()
                    asyncio.run(load(server))
                    peak.end()
                    print(f"after {REQUESTS} concurrent: " + "; ".join(settled(server).by_process))
        peer = transformers_memory(model, sequences=CONCURRENCY, tokens=TOKENS, batches=BURSTS)
        gpu = on_gpu(folder, lambda server: asyncio.run(load(server)))
    one = (idle[1].rss - weights) / MB
    further = ((idle[3].rss - idle[1].rss) / 2 - weights) / MB
    rss, pss = ((peaked - weights) / MB for peaked in (peak.rss, peak.pss))
    print(
        f"beside weights of {weights / MB:.0f} MB: {one:.0f} MB idle, {further:.0f} MB for each further model,"
    )
    print(
        f"at most {rss:.0f} MB under {REQUESTS} concurrent requests; PSS, which divides shared pages: {pss:.0f} MB"
    )
    peer_mb = (
        {}
        if peer is None
        else {
            "transformers_idle_mb": round((peer.idle - weights) / MB, 1),
            "transformers_generating_mb": round((peer.peak - weights) / MB, 1),
        }
    )
    if peer_mb:
        print(
            f"transformers: {peer_mb['transformers_idle_mb']:.0f} MB idle, "
            f"at most {peer_mb['transformers_generating_mb']:.0f} MB while it generates {CONCURRENCY} in one batch"
        )
    report(
        "lmlite_memory",
        one,
        ONE_BAR_MB,
        "lower",
        ok=further <= FURTHER_BAR_MB
        and rss <= LOAD_BAR_MB
        and all(abs(each.off) <= GPU_OFF_BAR and each.beside / MB <= GPU_BESIDE_BAR_MB for each in gpu),
        further_model_mb=round(further, 1),
        further_model_bar_mb=FURTHER_BAR_MB,
        under_load_pss_mb=round(pss, 1),
        under_load_rss_mb=round(rss, 1),
        under_load_bar_mb=LOAD_BAR_MB,
        idle_pss_mb=None if idle[1].pss is None else round(idle[1].pss / MB, 1),
        **peer_mb,
        on_gpu=[
            {"engine": each.engine, "off": round(each.off, 3), "beside_mb": round(each.beside / MB)}
            for each in gpu
        ],
    )


if __name__ == "__main__":
    main()
