"""Engines that are ready too early, busy, dead, or gone: what the server makes of each, and what callers hear.

The engine is a stand-in program that misbehaves as it is told, or the real embedded one, killed.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import openai
import psutil
import pytest

STAND_IN = Path(__file__).parents[2] / "support" / "stand_in_engine.py"


class Engines:
    """Configuration entries whose engines are stand-ins, and their test routes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def entry(self, name: str, modes: str = "", **fields: Any) -> dict[str, Any]:
        return {
            "model_id": name,
            "path": str(self.folder),
            "engine": "sglang",
            "engine_command": [sys.executable, str(STAND_IN)],
            "engine_args": ["--stand-in", modes, "--announce", str(self.announced(name))],
            "max_model_len": 512,
            "max_model_concurrency": 4,
            **fields,
        }

    def announced(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{json.loads(self.announced(name).read_text())['port']}/stand_in"

    def state(self, name: str) -> dict[str, Any]:
        return httpx.get(self.url(name) + "/state", timeout=10).json()

    def switch(self, name: str, **modes: Any) -> None:
        httpx.post(self.url(name) + "/modes", json=modes, timeout=10).raise_for_status()


@pytest.fixture
def engines(tmp_path: Path) -> Engines:
    return Engines(tmp_path)


def ask(server: Any, model: str, content: str = "hi", **fields: Any) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": content}], "max_tokens": 8, **fields}
    return httpx.post(
        f"{server.url}/v1/chat/completions",
        json=body,
        headers={"authorization": "Bearer integration-token"},
        timeout=40,
    )


def state_of(server: Any, model: str) -> dict[str, Any]:
    models = server.get("/ready").json()["models"]
    return next(each for each in models if each["model_id"] == model)


class Beside:
    """A long streamed answer of one model, read in a thread, that must not notice what happens to another."""

    def __init__(self, server: Any, model: str, tokens: int) -> None:
        self.pieces = 0
        self.finish: str | None = None
        self._began = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(server, model, tokens))
        self._thread.start()
        assert self._began.wait(20)

    def _read(self, server: Any, model: str, tokens: int) -> None:
        with server.client() as client:
            stream = client.chat.completions.create(
                model=model,
                messages=[{"role": "user", "content": "a long story"}],
                max_tokens=tokens,
                stream=True,
                extra_body={"ignore_eos": True},
            )
            for chunk in stream:
                self._began.set()
                self.pieces += 1
                self.finish = chunk.choices[0].finish_reason or self.finish

    def wait(self) -> str | None:
        self._thread.join(40)
        assert not self._thread.is_alive()
        return self.finish


def test_an_engine_that_says_ready_too_early_is_starting_and_gets_no_traffic(
    start: Callable[..., Any], engines: Engines, wait_until: Callable[..., Any]
) -> None:
    one = start(models=[engines.entry("early", "late=3")]).listening()
    wait_until(engines.announced("early").exists, "the engine listens")
    assert httpx.get(engines.url("early").replace("/stand_in", "/health"), timeout=10).status_code == 200
    assert state_of(one, "early")["state"] == "starting"
    refused = ask(one, "early")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_not_ready")
    assert int(refused.headers["retry-after"]) >= 1
    assert one.get("/ready").status_code == 503
    assert engines.state("early")["finished"] == 0
    one.loaded()
    assert one.get("/ready").status_code == 200
    assert ask(one, "early").status_code == 200


def test_an_engine_that_takes_long_is_busy_and_not_restarted(
    start: Callable[..., Any], engines: Engines, wait_until: Callable[..., Any]
) -> None:
    one = start(models=[engines.entry("slow", "busy_s=12", stall_timeout_s=24)]).loaded()
    answers: list[httpx.Response] = []
    caller = threading.Thread(target=lambda: answers.append(ask(one, "slow", "busy please")))
    caller.start()
    wait_until(lambda: state_of(one, "slow")["state"] == "busy", "the model is busy")
    assert one.get("/ready").status_code == 200  # it still takes requests
    caller.join(40)
    assert answers[0].status_code == 200
    wait_until(lambda: state_of(one, "slow")["state"] == "ready", "the model is ready again")
    assert state_of(one, "slow")["restarts"] == 0


def test_an_engine_that_is_dead_and_says_it_is_well_is_found_and_replaced(
    start: Callable[..., Any], engines: Engines, wait_until: Callable[..., Any]
) -> None:
    models = [engines.entry("dead", stall_timeout_s=2), engines.entry("other", "token_s=0.02")]
    one = start(models=models).loaded()
    progress = state_of(one, "dead")["progress"]
    engines.switch("dead", hang=True)
    assert httpx.get(engines.url("dead").replace("/stand_in", "/health"), timeout=10).status_code == 200
    beside = Beside(one, "other", 200)
    lost = ask(one, "dead")
    assert (lost.status_code, lost.json()["error"]["code"]) == (503, "engine_lost")
    assert int(lost.headers["retry-after"]) >= 1
    wait_until(lambda: state_of(one, "dead")["restarts"] == 1, "a new engine")
    assert ask(one, "dead").status_code == 200
    assert state_of(one, "dead")["progress"] > progress
    assert beside.wait() == "length"
    assert state_of(one, "other")["restarts"] == 0
    assert "stall_timeout_s=2" in one.log


def test_a_crash_of_one_engine_leaves_the_other_models_answering(
    start: Callable[..., Any], engines: Engines, wait_until: Callable[..., Any]
) -> None:
    models = [
        engines.entry("crashes", "token_s=0.05", max_model_concurrency=1),
        engines.entry("other", "token_s=0.02"),
    ]
    one = start(models=models).loaded()
    beside = Beside(one, "other", 200)
    answers: list[httpx.Response] = []
    callers = [
        threading.Thread(target=lambda: answers.append(ask(one, "crashes", max_tokens=400, ignore_eos=True)))
        for _ in range(3)
    ]
    for caller in callers:
        caller.start()
    wait_until(lambda: state_of(one, "crashes")["waiting"] == 2, "one runs and two wait")
    with suppress(httpx.TransportError):  # it is gone before it answers
        httpx.post(engines.url("crashes") + "/crash", timeout=10)
    for caller in callers:
        caller.join(40)
    assert {answer.status_code for answer in answers} == {503}
    assert {answer.json()["error"]["code"] for answer in answers} <= {"engine_lost", "model_not_ready"}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)
    wait_until(lambda: state_of(one, "crashes")["state"] == "ready", "a new engine")
    assert ask(one, "crashes").status_code == 200
    assert beside.wait() == "length"
    assert (state_of(one, "crashes")["restarts"], state_of(one, "other")["restarts"]) == (1, 0)


def test_the_embedded_engine_is_replaced_when_it_is_killed_and_its_neighbour_streams_on(
    start: Callable[..., Any], model: Callable[..., dict[str, Any]], wait_until: Callable[..., Any]
) -> None:
    one = start(models=[model(model_id="a"), model(model_id="b", max_model_len=4000)]).loaded()
    first, _ = sorted(embedded(one), key=psutil.Process.create_time)
    beside = Beside(one, "b", 1500)
    first.kill()
    wait_until(lambda: state_of(one, "a")["restarts"] == 1, "a new engine")
    assert ask(one, "a").status_code == 200
    assert beside.wait() == "length"
    assert state_of(one, "b")["restarts"] == 0


def embedded(server: Any) -> list[psutil.Process]:
    children = psutil.Process(server.process.pid).children(recursive=True)
    return [child for child in children if "gpu_server.engines.embedded" in child.cmdline()]


def test_each_engine_has_a_log_of_its_own(
    start: Callable[..., Any], engines: Engines, model: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    models = [engines.entry("org/name one"), engines.entry("org/name?one"), model()]
    start(models=models, log_dir=str(tmp_path / "logs")).loaded()
    names = {file.name for file in (tmp_path / "logs").iterdir()}
    assert {"org-name-one.0.log", "org-name-one.1.log"} <= names
    assert names <= {"org-name-one.0.log", "org-name-one.1.log", "random.log"}


@pytest.fixture
def streaming(
    start: Callable[..., Any], model: Callable[..., dict[str, Any]]
) -> Iterator[Callable[..., tuple[Any, Any]]]:
    """A server with one long answer on its way, and the answer's remaining pieces."""
    closing: list[openai.OpenAI] = []

    def run(tokens: int, **config: Any) -> tuple[Any, Any]:
        one = start(models=[model(max_model_len=4096)], **config).loaded()
        client = openai.OpenAI(
            base_url=f"{one.url}/v1", api_key="integration-token", max_retries=0, timeout=40
        )
        closing.append(client)
        stream = client.chat.completions.create(
            model="random",
            messages=[{"role": "user", "content": "a long story"}],
            max_tokens=tokens,
            stream=True,
            extra_body={"ignore_eos": True},
        )
        closing.append(stream)
        pieces = iter(stream)
        next(pieces)
        return one, pieces

    yield run
    for each in reversed(closing):
        each.close()


def test_while_it_drains_new_requests_are_sent_elsewhere_and_what_runs_is_finished(
    streaming: Callable[..., tuple[Any, Any]], wait_until: Callable[..., Any]
) -> None:
    one, pieces = streaming(1200, drain_s=30)
    one.process.terminate()
    wait_until(lambda: one.get("/ready").json()["draining"], "it drains")
    assert one.get("/ready").status_code == 503
    refused = ask(one, "random")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "draining")
    assert int(refused.headers["retry-after"]) >= 1
    *_, last = pieces
    assert last.choices[0].finish_reason == "length"
    assert one.exit_code(20) == 0


def test_a_second_signal_ends_it_at_once(
    streaming: Callable[..., tuple[Any, Any]], wait_until: Callable[..., Any]
) -> None:
    one, _ = streaming(4000, drain_s=300)
    one.process.terminate()
    wait_until(lambda: one.get("/ready").json()["draining"], "it drains")
    one.process.terminate()
    assert one.exit_code(20) == 0
