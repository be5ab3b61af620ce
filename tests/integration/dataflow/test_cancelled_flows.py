"""A flow that is cancelled, in whichever way, takes its model calls with it, down to the engine's batch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import random_weights
from conduit import LMLite, ModelConfig

PROGRAM = Path(__file__).parents[2] / "support" / "long_flows.py"
START_S = 60.0
FREE_S = 10.0
"""The bar under any load; the engine itself is free within a second."""

pytestmark = pytest.mark.timeout(240)


class Replica:
    """The engine that all flows here call, and what it is doing."""

    def __init__(self, folder: Path, url: str, token: str, variables: dict[str, str]) -> None:
        self.variables = variables
        self._folder = folder
        self._client = httpx.Client(
            base_url=url.removesuffix("/v1"), headers={"Authorization": f"Bearer {token}"}, timeout=20
        )

    def busy(self) -> int:
        (model,) = self._client.get("/ready").json()["models"]
        return int(model["running"]) + int(model["waiting"])

    def until(self, condition: Callable[[int], bool], within_s: float, what: str) -> float:
        """How long it took until its work was so."""
        begun = time.monotonic()
        while not condition(self.busy()):
            assert time.monotonic() - begun < within_s, what
            time.sleep(0.02)
        return time.monotonic() - begun

    def stays_free(self, for_s: float = 1.5) -> bool:
        until = time.monotonic() + for_s
        while time.monotonic() < until:
            if self.busy():
                return False
            time.sleep(0.05)
        return True

    def start(self, flow: str) -> subprocess.Popen[str]:
        """A process that runs the flow."""
        with (self._folder / f"{flow}.log").open("w") as log:
            return subprocess.Popen(
                [sys.executable, str(PROGRAM), flow],
                env={**os.environ, **self.variables},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """A real server with a model that writes slowly and never ends; one for all tests of this file."""
    folder = tmp_path_factory.mktemp("cancelled")
    model = random_weights.make(folder / "m", hidden=256, layers=4, heads=4, intermediate=1024)
    own = {"CONDUIT_DATA_DIR": str(folder), "CONDUIT_PROJECT": str(folder), "TEST_MODEL": str(model)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in own.items():
            patch.setenv(name, value)
        lm = LMLite(ModelConfig(str(model), max_model_len=4096, max_model_concurrency=4), idle_timeout=600)
        lm.up()
        (endpoint,) = lm.endpoints
        try:
            yield Replica(folder, endpoint.url, endpoint.token.get_secret_value(), own)
        finally:
            lm.delete()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "term"])
@pytest.mark.parametrize("flow", ["single", "mapped", "submitted", "busy_elsewhere", "amapped"])
def test_a_signal_to_the_flows_process_frees_the_engine(
    prefect_server: str, replica: Replica, flow: str, how: signal.Signals
) -> None:
    with replica.start(flow) as process:
        try:
            replica.until(lambda busy: busy > 0, START_S, "the flow did not call the model")
            process.send_signal(how)
            took_s = replica.until(lambda busy: busy == 0, FREE_S, f"the engine still works for {flow}")
            process.wait(START_S)
            assert process.returncode != 0
            assert replica.stays_free()
        finally:
            process.kill()
    print(json.dumps({"flow": flow, "signal": how.name, "free_s": round(took_s, 2)}))


@pytest.mark.parametrize("flow", ["cancelled_map", "limited_block", "limited_async_block"])
def test_calls_that_a_flow_gives_up_end_while_it_goes_on(
    prefect_server: str, replica: Replica, flow: str
) -> None:
    with replica.start(flow) as process:
        try:
            replica.until(lambda busy: busy > 0, START_S, "the flow did not call the model")
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("go\n")
            process.stdin.flush()
            assert process.stdout.readline() == "left\n"
            replica.until(lambda busy: busy == 0, FREE_S, f"the engine still works for {flow}")
            assert process.poll() is None
            assert replica.stays_free()
        finally:
            process.kill()


@pytest.mark.parametrize("flow", ["limited_flow", "limited_submits", "limited_async_flow"])
def test_a_flow_past_its_time_limit_frees_the_engine(
    prefect_server: str, replica: Replica, flow: str
) -> None:
    with replica.start(flow) as process:
        try:
            replica.until(lambda busy: busy > 0, START_S, "the flow did not call the model")
            process.wait(START_S)  # it waits for nothing but its calls
            assert process.returncode == 1
            replica.until(lambda busy: busy == 0, FREE_S, f"the engine still works for {flow}")
        finally:
            process.kill()


def test_a_run_cancelled_through_the_api_frees_the_engine(
    prefect_server: str, replica: Replica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in replica.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PREFECT_RUNNER_POLL_FREQUENCY", "1")
    monkeypatch.setenv("PREFECT_WORKER_QUERY_SECONDS", "1")
    prefect = [sys.executable, "-m", "prefect", "--no-prompt"]
    pool = "cancelled-flows"
    subprocess.run([*prefect, "work-pool", "create", pool, "--type", "process"], check=True, timeout=120)
    code = (
        "from prefect import flow\n"
        f"made = flow.from_source(source={str(PROGRAM.parent)!r}, entrypoint='long_flows.py:mapped')\n"
        f"print(made.deploy(name='long', work_pool_name={pool!r}, print_next_steps=False))\n"
    )
    deployed = subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=120, capture_output=True, text=True
    ).stdout.split()[-1]
    with (
        httpx.Client(base_url=prefect_server, timeout=20) as api,
        (tmp_path / "worker.log").open("w") as log,
        subprocess.Popen(
            [*prefect, "worker", "start", "--pool", pool, "--type", "process"],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=tmp_path,
        ) as worker,
    ):
        try:
            run = api.post(f"/deployments/{deployed}/create_flow_run", json={}).json()["id"]
            replica.until(lambda busy: busy > 0, 2 * START_S, "the worker did not run the flow")
            cancelling: dict[str, Any] = {"state": {"type": "CANCELLING"}}
            api.post(f"/flow_runs/{run}/set_state", json=cancelling).raise_for_status()
            took_s = replica.until(lambda busy: busy == 0, 2 * START_S, "the engine still works")
            assert replica.stays_free()
            deadline = time.monotonic() + START_S
            while (state := api.get(f"/flow_runs/{run}").json()["state_type"]) == "CANCELLING":
                assert time.monotonic() < deadline, "the run does not end"
                time.sleep(0.2)
            assert state == "CANCELLED"
        finally:
            worker.send_signal(signal.SIGINT)
            worker.wait(START_S)
    print(json.dumps({"flow": "mapped", "cancelled by": "API", "free_s": round(took_s, 2)}))
