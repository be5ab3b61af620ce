"""Real servers as real processes, on ports that the kernel chooses; each is ended by the fixture that made it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

import random_weights

TOKEN = "integration-token"
DEADLINE_S = 45.0


def poll(condition: Callable[[], Any], what: str, deadline_s: float = DEADLINE_S) -> Any:
    """Return what `condition` returns once it is true."""
    deadline = time.monotonic() + deadline_s
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {deadline_s:g} s: {what}")
        time.sleep(0.01)
    return found


class Server:
    """One server process."""

    def __init__(
        self, folder: Path, *, models: list[dict[str, Any]], token: str | None = TOKEN, **config: Any
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.announce = folder / "announce.json"
        self.stderr = folder / "stderr.txt"
        config_file = folder / "config.json"
        config_file.write_text(json.dumps({"announce": str(self.announce), "models": models, **config}))
        environment = {name: value for name, value in os.environ.items() if name != "GPU_SERVER_TOKEN"}
        if token is not None:
            environment["GPU_SERVER_TOKEN"] = token
        with self.stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gpu_server", "--config", str(config_file)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )

    @property
    def log(self) -> str:
        return self.stderr.read_text()

    @property
    def url(self) -> str:
        announced = json.loads(self.announce.read_text())
        return f"http://{announced['host']}:{announced['port']}"

    def listening(self) -> Server:
        """Wait until it listens."""
        poll(lambda: self.announce.exists() or self.process.poll() is not None, "the announce file")
        assert self.announce.exists(), self.log
        return self

    def loaded(self) -> Server:
        """Wait until no model is starting any more."""
        self.listening()
        poll(
            lambda: "starting" not in {state for state, _ in self.states().values()},
            "the models' end of loading",
        )
        return self

    def states(self) -> dict[str, tuple[str, str | None]]:
        models = self.get("/ready").json()["models"]
        return {model["model_id"]: (model["state"], model["reason"]) for model in models}

    def get(self, path: str, token: str | None = TOKEN) -> httpx.Response:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return httpx.get(self.url + path, headers=headers, timeout=10)

    def post(self, content: bytes, **headers: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {TOKEN}", **headers}
        return httpx.post(f"{self.url}/v1/chat/completions", content=content, headers=headers, timeout=30)

    def metric(self, name: str, **labels: str) -> float:
        """Return one metric, summed over the labels that are not given."""
        total = 0.0
        for line in self.get("/metrics").text.splitlines():
            found = re.fullmatch(rf"gpu_server_{name}(?:{{(.*)}})? (\S+)", line)
            if found and all(f'{key}="{value}"' in (found[1] or "") for key, value in labels.items()):
                total += float(found[2])
        return total

    @contextmanager
    def client(self, token: str = TOKEN) -> Iterator[openai.OpenAI]:
        with openai.OpenAI(base_url=f"{self.url}/v1", api_key=token, max_retries=0, timeout=30) as client:
            yield client

    def exit_code(self, deadline_s: float = 20.0) -> int:
        """Wait for its end."""
        return self.process.wait(deadline_s)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 2 million parameters with random weights."""
    return random_weights.make(tmp_path_factory.mktemp("random-weights"))


@pytest.fixture(scope="session")
def model(folder: Path) -> Callable[..., dict[str, Any]]:
    """The configuration entry of that model."""

    def entry(**fields: Any) -> dict[str, Any]:
        return {
            "model_id": "random",
            "path": str(folder),
            "max_model_len": 512,
            "max_model_concurrency": 16,
            **fields,
        }

    return entry


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., AbstractContextManager[Server]]:
    """Runs a loaded server for as long as a `with` block."""

    @contextmanager
    def run(**config: Any) -> Iterator[Server]:
        running = Server(tmp_path_factory.mktemp("server"), **config)
        try:
            yield running.loaded()
        finally:
            running.end()

    return run


@pytest.fixture(scope="module")
def server(
    serve: Callable[..., AbstractContextManager[Server]], model: Callable[..., dict[str, Any]]
) -> Iterator[Server]:
    """One server for a whole module: continuous batching, sixteen places."""
    with serve(models=[model()]) as running:
        yield running


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers of a test's own."""
    started: list[Server] = []

    def run(**config: Any) -> Server:
        started.append(Server(tmp_path / f"server-{len(started)}", **config))
        return started[-1]

    yield run
    for one in started:
        one.end()


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., Any]:
    return poll
