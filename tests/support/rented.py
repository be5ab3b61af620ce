"""LMLites on a simulated RunPod, and the command line beside them."""

from __future__ import annotations

import json
import subprocess
import sys
import time

from conduit import GPUS, ComputeProvider, LMLite, ModelConfig
from conduit.sim.runpod import Simulator

MODEL = "Qwen/Qwen3-4B-Instruct-2507"
QUICK = {
    "CONDUIT_MODEL_ALIASES": json.dumps({MODEL: "conduit/tiny"}),
    "CONDUIT_RUNPOD_SETTLE_S": "0.5",
    "CONDUIT_RUNPOD_ABSENT_GAP_S": "0.2",
}
"""Variables that have the tiny model loaded, and a provider believed that hides nothing for long."""


def rented(**changes) -> LMLite:
    """One replica on an L4, or as the changes say."""
    model = ModelConfig(MODEL, max_model_len=512, max_model_concurrency=8)
    return LMLite([model], ComputeProvider.RUNPOD, **{"gpu": GPUS.NVIDIA_L4, **changes})


def ask(lm: LMLite) -> str:
    return lm(messages=[{"role": "user", "content": "Hello"}], max_tokens=8)


def nothing_left(simulator: Simulator) -> bool:
    """Whether all is given back; a process of a pod that has ended may take a moment longer."""
    deadline = time.monotonic() + 20
    while (state := simulator.state())["processes"] and time.monotonic() < deadline:
        time.sleep(0.1)
    return not state["living"] and not state["processes"] and not state["endpoints"]


def conduit(*words: str) -> subprocess.Popen[str]:
    """The command, begun."""
    return subprocess.Popen(
        [sys.executable, "-m", "conduit", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said_by(*words: str) -> dict:
    """The document that the command prints."""
    with conduit(*words, "--json") as process:
        return json.loads(process.communicate(timeout=100)[0])
