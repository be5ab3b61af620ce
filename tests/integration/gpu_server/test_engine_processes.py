"""Several models in one server, each in a process of its own: what happens to one does not happen to the others."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from typing import Any

import psutil


def engines(server: Any) -> list[psutil.Process]:
    children = psutil.Process(server.process.pid).children(recursive=True)
    return [child for child in children if "gpu_server.engines.embedded" in child.cmdline()]


def ask(server: Any, model: str) -> int:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 3}
    return server.post(json.dumps(body).encode()).status_code


def test_a_crash_of_one_engine_leaves_the_server_and_the_other_model_serving(
    start: Callable[..., Any], model: Callable[..., dict[str, Any]], wait_until: Callable[..., Any]
) -> None:
    server = start(models=[model(model_id="one"), model(model_id="two")]).loaded()
    before = engines(server)
    assert len(before) == 2
    os.kill(before[0].pid, signal.SIGKILL)
    statuses = [ask(server, name) for name in ("one", "two")]
    assert 200 in statuses  # the one that was not touched, at once
    assert set(statuses) <= {200, 503}
    wait_until(lambda: [ask(server, name) for name in ("one", "two")] == [200, 200], "both answer again")
    assert server.process.poll() is None
    after = engines(server)
    assert len(after) == 2
    assert before[1].pid in {process.pid for process in after}


def test_no_engine_outlives_a_server_that_is_killed(
    start: Callable[..., Any], model: Callable[..., dict[str, Any]]
) -> None:
    server = start(models=[model(model_id="one"), model(model_id="two")]).loaded()
    running = engines(server)
    assert len(running) == 2
    server.process.kill()
    server.process.wait()
    assert psutil.wait_procs(running, timeout=10)[1] == []
