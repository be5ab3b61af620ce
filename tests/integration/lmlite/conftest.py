"""Real deployments of a model with random weights, each removed by its test."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

import random_weights
from conduit import settings, store
from conduit.errors import ConduitError
from conduit.lmlite import LMLiteResource, ModelConfig, down
from conduit.sim.runpod import Simulator
from support import thinking_model
from support.rented import QUICK


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_weights.make(
        tmp_path_factory.mktemp("model") / "m", hidden=64, layers=2, heads=4, intermediate=128
    )


@pytest.fixture(scope="session")
def thinking_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return thinking_model.make(tmp_path_factory.mktemp("model") / "m")


@pytest.fixture
def deploy(weights: Path) -> Iterator[Callable[..., LMLiteResource]]:
    """Makes an LMLite on the model; what it starts is ended with the test."""

    def make(
        *,
        concurrency: int = 4,
        max_model_len: int = 4096,
        max_queue: int = 256,
        model: Path = weights,
        **options,
    ) -> LMLiteResource:
        config = ModelConfig(
            str(model),
            max_model_len=max_model_len,
            max_model_concurrency=concurrency,
            max_queue=max_queue,
        )
        return LMLiteResource(config, **{"idle_timeout": 120} | options)

    yield make
    with contextlib.suppress(ConduitError):  # a test may have made the data folder unusable
        down(settings.load())


@pytest.fixture
def processes() -> Callable[[], list[psutil.Process]]:
    """The living processes of the current data folder's nodes, by replica."""

    def find() -> list[psutil.Process]:
        records = store.open_store(settings.load()).nodes(live=True)
        return [psutil.Process(r.handle["pid"]) for r in records if psutil.pid_exists(r.handle["pid"])]

    return find


@pytest.fixture
def lives() -> Callable[[psutil.Process], bool]:
    """Whether a process runs; one that has ended and waits to be reaped does not."""

    def look(process: psutil.Process) -> bool:
        try:
            return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    return look


@pytest.fixture
def until() -> Callable[..., None]:
    """Polls for a condition with a deadline."""

    def wait(condition: Callable[[], object], *, within_s: float = 20.0) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline, f"not within {within_s} s"
            time.sleep(0.02)

    return wait


@pytest.fixture
def requests_waiting_at() -> Callable[[int], int]:
    """How many connections to that port hold bytes that the listening process has not read."""

    def count(port: int) -> int:
        rows = [line.split()[1:5] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        ends = [(int(local.split(":")[1], 16), int(queues.split(":")[1], 16)) for local, _, _, queues in rows]
        return sum(local_port == port and unread > 0 for local_port, unread in ends)

    return count


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Simulator]]:
    """Starts a simulated RunPod, which this process and those that it starts then use."""
    running: list[Simulator] = []

    def start(**options) -> Simulator:
        simulator = Simulator(provision_s=0.05, start_s=0.05, **options).__enter__()
        running.append(simulator)
        for name, value in {**simulator.environment(), **QUICK}.items():
            monkeypatch.setenv(name, value)
        return simulator

    yield start
    for simulator in running:
        simulator.close()
