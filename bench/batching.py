"""What batching gains: 100 concurrent requests of 64 tokens through LMLite over HTTP, beside one by one.

A model with random weights, decoded greedily, so that every answer is exactly 64 tokens long and the same each
time. The prompts are of one length: on a CPU the embedded engine advances together only sequences that are equally
long, so a batch of mixed lengths gains less.
"""

from __future__ import annotations

import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from _report import report
from prometheus_client.parser import text_string_to_metric_families

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "models"))
import random_weights
from conduit import ComputeProvider, LMLite, ModelConfig

BAR = 3.0
REQUESTS, TOKENS = 100, 64


def counters(lm: LMLite) -> dict[str, float]:
    """The replica's counters, summed over labels."""
    (endpoint,) = lm.endpoints
    url = endpoint.url.removesuffix("/v1") + "/metrics"
    answer = httpx.get(url, headers={"Authorization": f"Bearer {endpoint.token.get_secret_value()}"})
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(answer.raise_for_status().text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


def main() -> None:
    prompts = [f"Question {i:03}: say something about {i * 7919 % 1000:03}." for i in range(REQUESTS)]
    with tempfile.TemporaryDirectory() as folder:
        model = random_weights.make(Path(folder) / "model")
        config = ModelConfig(str(model), max_model_len=256, max_model_concurrency=REQUESTS)
        with LMLite(config, ComputeProvider.LOCAL, idle_timeout=120) as lm:

            def ask(prompt: str) -> str:
                return lm(messages=[{"role": "user", "content": prompt}], max_tokens=TOKENS)

            with ThreadPoolExecutor(REQUESTS) as pool:
                list(pool.map(ask, prompts))  # warms connections and code paths
                began = time.perf_counter()
                serial = [ask(prompt) for prompt in prompts]
                one_by_one = (time.perf_counter() - began) / REQUESTS
                before = counters(lm)
                began = time.perf_counter()
                batched = list(pool.map(ask, prompts))
                together = (time.perf_counter() - began) / REQUESTS
                after = counters(lm)
            lm.delete()
    print(
        f"one by one {one_by_one * 1e3:7.2f} ms a request; {REQUESTS} together {together * 1e3:7.2f} ms a request"
    )
    steps = after["gpu_server_engine_steps_total"] - before["gpu_server_engine_steps_total"]
    largest = after["gpu_server_largest_batch"]
    print(f"{steps:g} forward steps for {REQUESTS * TOKENS} tokens; largest batch {largest:g}")
    report(
        "batching",
        one_by_one / together,
        BAR,
        "higher",
        ok=batched == serial,
        outputs_identical=batched == serial,
        engine_steps=steps,
        serial_steps=REQUESTS * TOKENS,
        largest_batch=largest,
    )


if __name__ == "__main__":
    main()
